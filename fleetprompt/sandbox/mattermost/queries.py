"""Lists of posts, with the oddities of the real server that a client must survive."""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import Any, Final

from fleetprompt.sandbox.mattermost.records import Channel, Post
from fleetprompt.sandbox.mattermost.world import World

SINCE_LIMIT: Final = 1000
PER_PAGE: Final = 60
MAX_PER_PAGE: Final = 200

PostList = dict[str, Any]


def _listed(
    order: list[str], shown: dict[str, dict[str, Any]], next_post_id: str = "", prev_post_id: str = ""
) -> PostList:
    return {"order": order, "posts": shown, "next_post_id": next_post_id, "prev_post_id": prev_post_id}


def _live(world: World, channel: Channel) -> list[Post]:
    """What is neither deleted nor an edit's copy, oldest first."""
    return [post for post in world.posts_of[channel.id].values() if not post.delete_at]


def posts_since(world: World, channel: Channel, since_ms: int) -> PostList:
    """Everything with `update_at` after `since_ms`: deleted posts, edits' copies, bumped roots; newest first.

    Above 1000 the server takes any 1000: the order of a database without ORDER BY. Roots of found replies come along
    in `posts` without being in `order`. Reply counts are 0 (recorded).
    """
    found = [post for post in world.posts_of[channel.id].values() if post.update_at > since_ms]
    if len(found) > SINCE_LIMIT:
        found = random.sample(found, SINCE_LIMIT)
    found.sort(key=lambda post: (-post.create_at, post.update_at))
    with_roots = {post.id: post for post in (*found, *_roots(world, found))}
    shown = {post.id: post.as_json(metadata=world.metadata(post)) for post in with_roots.values()}
    return _listed([post.id for post in found], shown)


def _roots(world: World, posts: Iterable[Post]) -> list[Post]:
    return [world.posts[post.root_id] for post in posts if post.root_id in world.posts]


def posts_after(world: World, channel: Channel, anchor_id: str, page: int, per_page: int) -> PostList:
    """The posts next after the anchor, strictly by `create_at`: siblings of the same millisecond are lost."""
    posts = _live(world, channel)
    first = bisect_right(posts, _created_at(world, anchor_id), key=_create_at)
    return _window(world, posts, first + page * per_page, first + (page + 1) * per_page)


def posts_before(world: World, channel: Channel, anchor_id: str, page: int, per_page: int) -> PostList:
    """The posts next before the anchor, strictly by `create_at`."""
    posts = _live(world, channel)
    end = bisect_left(posts, _created_at(world, anchor_id), key=_create_at)
    return _window(world, posts, end - (page + 1) * per_page, end - page * per_page)


def latest_posts(world: World, channel: Channel, page: int, per_page: int) -> PostList:
    """A page counted from the newest post."""
    posts = _live(world, channel)
    end = len(posts) - page * per_page
    return _window(world, posts, end - per_page, end)


def _create_at(post: Post) -> int:
    return post.create_at


def _created_at(world: World, anchor_id: str) -> int:
    anchor = world.posts.get(anchor_id)
    return anchor.create_at if anchor else 0


def _window(world: World, posts: list[Post], start: int, end: int) -> PostList:
    start, end = max(start, 0), max(end, 0)
    chosen = posts[start:end][::-1]
    older = posts[start - 1].id if start > 0 and chosen else ""
    newer = posts[end].id if end < len(posts) and chosen else ""
    threads = _threads_of(world, chosen)
    shown = {post.id: world.as_json(post) for post in (*chosen, *threads)}
    return _listed([post.id for post in chosen], shown, newer, older)


def _threads_of(world: World, posts: Iterable[Post]) -> list[Post]:
    """Roots of replies and their other replies: in `posts`, not in `order`."""
    roots = {post.root_id for post in posts if post.root_id}
    found = [world.posts[root_id] for root_id in roots]
    found += [reply for root_id in roots for reply in world.replies_of[root_id].values()]
    return [post for post in found if not post.delete_at]


def thread(world: World, post: Post) -> PostList:
    """The whole thread of a root or reply. The asked post leads `order`, and comes again in its place (recorded)."""
    root = world.posts[post.root_id or post.id]
    members = [p for p in (root, *world.replies_of.get(root.id, {}).values()) if not p.delete_at]
    members.sort(key=lambda p: p.update_at)  # the heap's order: a touched row moves to the end
    shown = {p.id: world.as_json(p) for p in members}
    return _listed([post.id, *(p.id for p in members)], shown)

"""`thread_updated` frames: the server tells each follower of a thread of a new reply."""

from __future__ import annotations

from typing import Any

from fleetprompt.sandbox.mattermost.frames import Audience, Event, nested
from fleetprompt.sandbox.mattermost.records import Channel, Post
from fleetprompt.sandbox.mattermost.site import Site, ThreadView


def thread_updated(site: Site, reply: Post, channel: Channel, mentioned: list[str]) -> None:
    """Tell those who wrote in the thread or were mentioned in it, as far as they are connected."""
    if not reply.root_id or reply.props.get("from_webhook") == "true":
        return
    root = site.world.posts[reply.root_id]
    replies = [r for r in site.world.replies_of[root.id].values() if not r.delete_at]
    authors = list(dict.fromkeys((root.user_id, *(r.user_id for r in replies))))
    for user_id in site.hub.sessions.keys() & channel.members.keys():
        if user_id in authors or user_id in mentioned or (root.id, user_id) in site.views:
            view = _viewed(site, reply, user_id, user_id in mentioned)
            thread = _thread(site, root, replies, authors) | _seen(view)
            audience = Audience(user_id=user_id, team_id=channel.team_id)
            site.hub.publish(Event("thread_updated", {"thread": nested(thread)}, audience))


def _viewed(site: Site, reply: Post, user_id: str, is_mentioned: bool) -> ThreadView:
    view = site.views.setdefault((reply.root_id, user_id), ThreadView())
    if reply.user_id == user_id:
        view.last_viewed_at, view.unread_replies = reply.create_at, 0
    else:
        view.unread_replies += 1
        view.unread_mentions += is_mentioned
    return view


def _seen(view: ThreadView) -> dict[str, int]:
    return {
        "last_viewed_at": view.last_viewed_at,
        "unread_replies": view.unread_replies,
        "unread_mentions": view.unread_mentions,
    }


def _thread(site: Site, root: Post, replies: list[Post], authors: list[str]) -> dict[str, Any]:
    return {
        "id": root.id,
        "reply_count": len(replies),
        "last_reply_at": replies[-1].create_at,
        "participants": [site.world.users[i].as_json() for i in authors],
        "post": root.as_json(),
    }

"""What happens to posts: created, edited, deleted, reacted to; each with its frames before its answer."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from fleetprompt.sandbox.mattermost.announcing import announce, viewed
from fleetprompt.sandbox.mattermost.attachments import integrations_of, public_props
from fleetprompt.sandbox.mattermost.errors import ApiError, forbidden
from fleetprompt.sandbox.mattermost.frames import Audience, Event, nested
from fleetprompt.sandbox.mattermost.ids import new_id
from fleetprompt.sandbox.mattermost.ledger import LedgerEntry
from fleetprompt.sandbox.mattermost.records import Post, SandboxUser
from fleetprompt.sandbox.mattermost.site import IN_FLIGHT, Site


@dataclass(frozen=True, slots=True)
class Draft:
    """A post as requested. via: rest, webhook, sandbox or system (the last ones enter no ledger)."""

    channel_id: str
    message: str
    root_id: str = ""
    props: dict[str, Any] = field(default_factory=dict)
    file_ids: list[str] = field(default_factory=list)
    pending_post_id: str = ""
    type: str = ""
    via: str = "rest"


def create(site: Site, author: SandboxUser, draft: Draft) -> dict[str, Any]:
    """Create a post, or return the first one when its `pending_post_id` is known. Returns the answer's JSON.

    Raises ApiError 400, 403, or 500 while the first request with that `pending_post_id` is in flight.
    """
    require_postable(site, author, draft)
    known = seen(site, draft)
    if known is not None:
        viewed(site, author, draft.channel_id)  # as recorded: a repeat counts as a look at the channel
        return known
    post = _admitted(site, author, draft)
    if draft.pending_post_id:
        site.pending.put(draft.pending_post_id, post.id)
    return site.world.as_json(post, pending_post_id=draft.pending_post_id)


def require_postable(site: Site, author: SandboxUser, draft: Draft) -> None:
    """Raises ApiError unless the author is in the channel and it is not archived."""
    channel = site.world.channels.get(draft.channel_id)
    if channel is None:
        raise forbidden()
    site.require_member(author, channel)
    if channel.delete_at:
        raise ApiError("api.post.create_post.can_not_post_to_deleted.error")


def seen(site: Site, draft: Draft) -> dict[str, Any] | None:
    """The answer to a repeated `pending_post_id`: the stored post, without reply count and metadata (recorded)."""
    post_id = site.pending.get(draft.pending_post_id) if draft.pending_post_id else None
    if post_id == IN_FLIGHT:
        raise ApiError("api.post.deduplicate_create_post.pending")
    if post_id and site.world.posts[post_id].delete_at:
        raise ApiError("api.post.deduplicate_create_post.failed_to_get")
    return site.world.posts[post_id].as_json() if post_id else None


def _admitted(site: Site, author: SandboxUser, draft: Draft) -> Post:
    try:
        validate(site, draft)
    except ApiError:
        site.pending.forget(draft.pending_post_id)
        raise
    return commit(site, author, draft)


def validate(site: Site, draft: Draft) -> None:
    """Raises ApiError 400 for a bad root or a text that is too long, 500 for a NUL, which Postgres does not store."""
    if draft.root_id:
        root = site.world.posts.get(draft.root_id)
        if root is None or root.delete_at or root.root_id:
            raise ApiError("api.post.create_post.root_id.app_error")
        if root.channel_id != draft.channel_id:
            raise ApiError("api.post.create_post.channel_root_id.app_error")
    _check_sizes(site, draft.message, draft.props)
    if draft.via == "rest" and "\x00" in draft.message:
        raise ApiError("app.post.save.app_error")


def _check_sizes(site: Site, message: str, props: dict[str, Any]) -> None:
    if len(message) > site.max_post_runes:
        raise ApiError("model.post.is_valid.msg.app_error")
    if len(json.dumps(props, ensure_ascii=False)) > site.max_props_runes:
        raise ApiError("model.post.is_valid.props.app_error")


def commit(site: Site, author: SandboxUser, draft: Draft) -> Post:
    """Store a valid draft and tell everybody."""
    now = site.world.now_ms()
    from_bot = {"from_bot": "true"} if author.is_bot else {}
    post = Post(
        id=new_id(),
        create_at=now,
        update_at=now,
        user_id=author.id,
        channel_id=draft.channel_id,
        message=draft.message,
        root_id=draft.root_id,
        type=draft.type,
        props=public_props(draft.props) | from_bot,
        file_ids=_claimed_files(site, draft.file_ids),
        integrations=integrations_of(draft.props),
    )
    for file_id in post.file_ids:
        site.world.files[file_id].post_id = post.id
        site.world.save(site.world.files[file_id])
    site.world.save(post)
    _count(site, post)
    _enter(site, post, draft)
    site.overtaking.send(partial(announce, site, author, post, draft.pending_post_id))
    site.posted(author, post)
    if draft.via in ("rest", "sandbox") and not author.is_bot:
        viewed(site, author, post.channel_id)
    return post


def _claimed_files(site: Site, file_ids: list[str]) -> list[str]:
    return [i for i in file_ids if i in site.world.files and not site.world.files[i].post_id]


def _count(site: Site, post: Post) -> None:
    channel = site.world.channels[post.channel_id]
    if not post.type.startswith("system_"):
        channel.total_msg_count += 1
        channel.total_msg_count_root += 0 if post.root_id else 1
    _bump(site, post, post.create_at)


def _enter(site: Site, post: Post, draft: Draft) -> None:
    if draft.via == "system":
        return
    arrival = len(site.world.ledger) + 1
    entry = LedgerEntry(
        arrival,
        post.id,
        post.create_at,
        post.user_id,
        post.channel_id,
        post.root_id,
        post.message,
        dict(draft.props),
        draft.pending_post_id,
        draft.via,
    )
    site.world.enter(entry)


def edit(site: Site, editor: SandboxUser, post_id: str, patch: dict[str, Any]) -> Post:
    """Change message, props, files or the pin. Keeps a copy of the old text, as the server does. Raises ApiError."""
    post = site.world.posts.get(post_id)
    if post is None or post.delete_at or (post.user_id != editor.id and not editor.is_admin):
        raise forbidden()
    _check_sizes(site, patch.get("message", post.message), patch.get("props") or {})
    now = site.world.now_ms()
    site.world.save(
        replace(post, id=new_id(), original_id=post.id, update_at=now, delete_at=now, reactions=[])
    )
    if "message" in patch and patch["message"] != post.message:
        post.edit_at = now
    post.message = patch.get("message", post.message)
    if patch.get("props") is not None:
        post.props, post.integrations = public_props(patch["props"]), integrations_of(patch["props"])
    post.is_pinned = bool(patch.get("is_pinned", post.is_pinned))
    post.update_at = now
    site.world.save(post)
    _bump(site, post, now)
    _publish_post(site, "post_edited", post)
    return post


def _bump(site: Site, post: Post, now: int) -> None:
    """The channel and the thread's root count as changed."""
    channel = site.world.channels[post.channel_id]
    channel.last_post_at = now
    site.world.save(channel)
    if post.root_id:
        site.world.posts[post.root_id].update_at = now
        site.world.save(site.world.posts[post.root_id])


def _publish_post(site: Site, name: str, post: Post) -> None:
    data = {"post": nested(site.world.as_json(post))}
    site.hub.publish(Event(name, data, Audience(channel_id=post.channel_id)))


def delete(site: Site, remover: SandboxUser, post_id: str) -> None:
    """Delete a post; a root takes its thread along with one event. Raises ApiError 403, 404."""
    post = site.world.post(post_id)
    if post.user_id != remover.id and not remover.is_admin:
        raise forbidden()
    now = site.world.now_ms()
    _publish_post(site, "post_deleted", post)  # the frame shows it as it was: delete_at 0
    for gone in (post, *site.world.replies_of.get(post.id, {}).values()):
        if not gone.delete_at:
            gone.delete_at = gone.update_at = now
            site.world.save(gone)
    post.props = post.props | {"deleteBy": remover.id}
    site.world.save(post)


def react(site: Site, user: SandboxUser, post_id: str, emoji_name: str) -> dict[str, Any]:
    """Add a reaction; adding it twice changes nothing. Bumps the post's `update_at`. Raises ApiError 403, 404."""
    post = site.world.post(post_id)
    site.require_member(user, site.world.channel(post.channel_id))
    for reaction in post.reactions:
        if reaction["user_id"] == user.id and reaction["emoji_name"] == emoji_name:
            return reaction
    now = site.world.now_ms()
    reaction = {
        "user_id": user.id,
        "post_id": post.id,
        "emoji_name": emoji_name,
        "create_at": now,
        "update_at": now,
        "delete_at": 0,
        "remote_id": "",
    }
    _set_reactions(site, post, [*post.reactions, reaction])
    _publish_reaction(site, "reaction_added", post, reaction)
    return reaction


def unreact(site: Site, user: SandboxUser, post_id: str, emoji_name: str) -> None:
    """Take a reaction back. Raises ApiError 404."""
    post = site.world.post(post_id)
    gone = [r for r in post.reactions if r["user_id"] == user.id and r["emoji_name"] == emoji_name]
    if gone:
        _set_reactions(site, post, [r for r in post.reactions if r not in gone])
        _publish_reaction(site, "reaction_removed", post, gone[0] | {"delete_at": site.world.now_ms()})


def _set_reactions(site: Site, post: Post, reactions: list[dict[str, Any]]) -> None:
    post.reactions = reactions
    post.update_at = site.world.now_ms()
    site.world.save(post)


def _publish_reaction(site: Site, name: str, post: Post, reaction: dict[str, Any]) -> None:
    site.hub.publish(Event(name, {"reaction": nested(reaction)}, Audience(channel_id=post.channel_id)))

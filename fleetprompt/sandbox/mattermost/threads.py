"""`thread_updated` frames: the server tells each follower of a thread of a new reply."""

from __future__ import annotations

from typing import Any

from fleetprompt.sandbox.mattermost.frames import Audience, Event, nested
from fleetprompt.sandbox.mattermost.records import Channel, Post
from fleetprompt.sandbox.mattermost.site import Site


def thread_updated(site: Site, reply: Post, channel: Channel, mentioned: list[str]) -> None:
    """Tell those who wrote in the thread or are mentioned in it, as far as they are connected."""
    if not reply.root_id or reply.props.get("from_webhook") == "true":
        return
    root = site.world.posts[reply.root_id]
    replies = [r for r in site.world.replies_of[root.id].values() if not r.delete_at]
    followers = dict.fromkeys((root.user_id, *(r.user_id for r in replies), *mentioned))
    for user_id in followers:
        if user_id in site.hub.sessions and user_id in channel.members:
            data = {"thread": nested(_thread(site, root, replies, user_id, mentioned))}
            audience = Audience(user_id=user_id, team_id=channel.team_id)
            site.hub.publish(Event("thread_updated", data, audience))


def _thread(
    site: Site, root: Post, replies: list[Post], user_id: str, mentioned: list[str]
) -> dict[str, Any]:
    last = replies[-1]
    own = last.user_id == user_id
    participants = dict.fromkeys((root.user_id, *(r.user_id for r in replies)))
    return {
        "id": root.id,
        "reply_count": len(replies),
        "last_reply_at": last.create_at,
        "last_viewed_at": last.create_at if own else 0,
        "participants": [site.world.users[i].as_json() for i in participants],
        "post": root.as_json(),
        "unread_replies": 0 if own else 1,
        "unread_mentions": 1 if user_id in mentioned else 0,
    }

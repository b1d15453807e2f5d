"""The frames of a new post, and whom the server counts as mentioned in it."""

from __future__ import annotations

from typing import Any, Final

from fleetprompt.sandbox.mattermost.frames import Audience, Event, nested
from fleetprompt.sandbox.mattermost.mentions import WIDE, mentioned_names, text_of
from fleetprompt.sandbox.mattermost.records import Channel, Post, SandboxUser
from fleetprompt.sandbox.mattermost.site import Site
from fleetprompt.sandbox.mattermost.threads import thread_updated

_NO_WIDE_MENTIONS: Final = {"system_header_change", "system_purpose_change"}
MAX_WIDE_MENTION_MEMBERS: Final = 1000


def announce(site: Site, author: SandboxUser, post: Post, pending_post_id: str) -> None:
    """Send `posted` to the channel and `thread_updated` to the thread's followers."""
    channel = site.world.channels[post.channel_id]
    mentioned = _mentioned(site, author, post, channel)
    shown = site.world.as_json(post, pending_post_id=pending_post_id)
    system = post.type.startswith("system_")
    data: dict[str, Any] = {
        "channel_display_name": f"@{author.username}" if channel.kind == "D" else channel.display_name,
        "channel_name": channel.name,
        "channel_type": channel.kind,
        "post": nested(shown),
        "sender_name": "System" if system else f"@{author.username}",
        "set_online": True,
        "team_id": channel.team_id,
    }
    if mentioned:
        data["mentions"] = nested(mentioned)
    if post.file_ids:
        data["otherFile"] = "true"
    site.hub.publish(Event("posted", data, Audience(channel_id=channel.id)))
    thread_updated(site, post, channel, mentioned)


def viewed(site: Site, user: SandboxUser, channel_id: str) -> None:
    """Tell the user's own sessions that the channel was looked at."""
    site.hub.publish(Event("channel_viewed", {"channel_id": channel_id}, Audience(user_id=user.id)))


def _mentioned(site: Site, author: SandboxUser, post: Post, channel: Channel) -> list[str]:
    """The ids in `data.mentions`: what the server counts as a mention, which is more than what addresses a bot."""
    from_webhook = post.props.get("from_webhook") == "true"
    if channel.kind == "D":
        return [user_id for user_id in channel.members if user_id != author.id or from_webhook]
    names = mentioned_names(text_of(post.message, post.props))
    wide = names & WIDE
    if post.type in _NO_WIDE_MENTIONS or len(channel.members) > MAX_WIDE_MENTION_MEMBERS:
        wide = set()
    found = {user.id: None for user in map(site.world.users_by_name.get, names) if user}
    if wide:
        everyone = wide & {"all", "channel"}
        found |= {i: None for i in channel.members if everyone or site.hub.statuses.get(i) == "online"}
    if post.type == "system_add_to_channel":
        found[str(post.props["addedUserId"])] = None
    if not from_webhook:
        found.pop(author.id, None)
    return [user_id for user_id in found if user_id in channel.members]

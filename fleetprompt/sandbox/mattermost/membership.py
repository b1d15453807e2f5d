"""Teams and channels: made, joined, left, archived; with the frames and system posts that go with it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from fleetprompt.sandbox.mattermost.errors import ApiError
from fleetprompt.sandbox.mattermost.frames import Audience, Event, nested
from fleetprompt.sandbox.mattermost.ids import new_id, new_secret
from fleetprompt.sandbox.mattermost.posting import Draft, commit
from fleetprompt.sandbox.mattermost.records import Channel, SandboxUser, Team
from fleetprompt.sandbox.mattermost.site import Site

DEFAULT_CHANNELS = (("town-square", "Town Square"), ("off-topic", "Off-Topic"))


ADD_BOT_HINT = "Please add me to teams and channels you want me to interact in."


def create_user(
    site: Site,
    username: str,
    *,
    is_bot: bool = False,
    is_admin: bool = False,
    owner: SandboxUser | None = None,
) -> SandboxUser:
    """An account with a token; the existing one when the name is taken. A bot greets its owner in a direct message."""
    known = site.world.users_by_name.get(username)
    if known:
        return known
    now = site.world.now_ms()
    user = SandboxUser(
        new_id(),
        username,
        new_secret(),
        is_bot,
        create_at=now,
        update_at=now,
        first_name=username.capitalize() if is_bot else "",
        roles="system_admin system_user" if is_admin else "system_user",
    )
    site.world.save(user)
    if owner:
        channel = direct_channel(site, user, owner)
        commit(site, user, Draft(channel.id, ADD_BOT_HINT, type="add_bot_teams_channels", via="system"))
    return user


def create_team(site: Site, name: str) -> Team:
    """A team with its two default channels; the existing one when the name is taken."""
    known = site.world.team_named(name)
    if known:
        return known
    team = Team(new_id(), name, name.capitalize(), site.world.now_ms(), invite_id=new_id())
    site.world.save(team)
    for channel_name, display_name in DEFAULT_CHANNELS:
        create_channel(site, team, channel_name, "O", display_name=display_name)
    return team


def create_channel(
    site: Site,
    team: Team,
    name: str,
    kind: str = "O",
    *,
    display_name: str = "",
    creator: SandboxUser | None = None,
) -> Channel:
    """A public (O) or private (P) channel with its creator as member; the existing one when the name is taken."""
    known = site.world.channels_by_name.get((team.id, name))
    if known:
        return known
    now, title = site.world.now_ms(), display_name or name.replace("-", " ").title()
    channel = Channel(new_id(), kind, name, title, now, team_id=team.id, update_at=now)
    if creator:
        channel.creator_id, channel.members[creator.id] = creator.id, now
    site.world.save(channel)
    if creator:
        data = {"channel_id": channel.id, "team_id": team.id}
        site.hub.publish(Event("channel_created", data, Audience(user_id=creator.id)))
    return channel


def add_to_team(site: Site, user: SandboxUser, team: Team) -> None:
    """Join a team and its default channels; idempotent."""
    if user.id in team.members:
        return
    team.members.append(user.id)
    site.world.save(team)
    site.hub.publish(
        Event("added_to_team", {"team_id": team.id, "user_id": user.id}, Audience(user_id=user.id))
    )
    for name, _ in DEFAULT_CHANNELS:
        channel = site.world.channels_by_name[team.id, name]
        kind = "system_join_team" if name == "town-square" else "system_join_channel"
        place = "team" if name == "town-square" else "channel"
        _join(site, user, channel)
        _system_post(
            site, user, channel, kind, f"{user.username} joined the {place}.", username=user.username
        )


def add_to_channel(site: Site, user: SandboxUser, channel: Channel, adder: SandboxUser | None = None) -> None:
    """Put a user into a channel; idempotent. Raises ApiError 403 when the user is not in its team."""
    if user.id in channel.members:
        return
    if channel.team_id and user.id not in site.world.teams[channel.team_id].members:
        raise ApiError("api.context.permissions.app_error")
    _join(site, user, channel)
    if adder is None or adder.id == user.id:
        message = f"{user.username} joined the channel."
        _system_post(site, user, channel, "system_join_channel", message, username=user.username)
    else:
        message = f"{user.username} added to the channel by {adder.username}."
        props = {"addedUserId": user.id, "addedUsername": user.username, "userId": adder.id}
        _system_post(site, adder, channel, "system_add_to_channel", message, **props, username=adder.username)


def _join(site: Site, user: SandboxUser, channel: Channel) -> None:
    channel.members[user.id] = site.world.now_ms()
    site.world.save(channel)
    data = {"team_id": channel.team_id, "user_id": user.id}
    site.hub.publish(Event("user_added", data, Audience(channel_id=channel.id)))


def remove_from_channel(
    site: Site, user: SandboxUser, channel: Channel, remover: SandboxUser | None = None
) -> None:
    """Take a user out, who gets one frame of it; the rest gets another. Idempotent. Raises ApiError 400."""
    if channel.kind in "DG":
        raise ApiError("api.channel.remove_members.denied")
    if channel.members.pop(user.id, None) is None:
        return
    site.world.save(channel)
    by = remover or user
    rest = {"remover_id": by.id, "user_id": user.id}
    site.hub.publish(Event("user_removed", rest, Audience(channel_id=channel.id)))
    own = {"channel_id": channel.id, "remover_id": by.id}
    site.hub.publish(Event("user_removed", own, Audience(user_id=user.id)))
    if by.id == user.id:
        message = f"{user.username} left the channel."
        _system_post(site, user, channel, "system_leave_channel", message, username=user.username)
    else:
        message = f"{user.username} was removed from the channel."
        props = {"removedUserId": user.id, "removedUsername": user.username}
        _system_post(site, by, channel, "system_remove_from_channel", message, **props)


def _system_post(
    site: Site, author: SandboxUser, channel: Channel, kind: str, message: str, **props: str
) -> None:
    commit(site, author, Draft(channel.id, message, props=dict(props), type=kind, via="system"))


def direct_channel(site: Site, creator: SandboxUser, other: SandboxUser) -> Channel:
    """The direct channel of two accounts."""
    name = "__".join(sorted((creator.id, other.id)))
    known = site.world.channels_by_name.get(("", name))
    if known:
        return known
    now = site.world.now_ms()
    members = {creator.id: now, other.id: now}
    channel = Channel(new_id(), "D", name, "", now, creator_id=creator.id, update_at=now, members=members)
    site.world.save(channel)
    data = {"creator_id": creator.id, "teammate_id": other.id}
    site.hub.publish(Event("direct_added", data, Audience(channel_id=channel.id)))
    return channel


def group_channel(site: Site, users: Iterable[SandboxUser]) -> Channel:
    """The group channel of three to eight accounts; its name is a digest of their ids."""
    members = list(users)
    ids = [user.id for user in members]
    name = hashlib.sha1("".join(sorted(ids)).encode(), usedforsecurity=False).hexdigest()
    known = site.world.channels_by_name.get(("", name))
    if known:
        return known
    now = site.world.now_ms()
    display_name = ", ".join(sorted(user.username for user in members))
    channel = Channel(new_id(), "G", name, display_name, now, update_at=now, members=dict.fromkeys(ids, now))
    site.world.save(channel)
    site.hub.publish(Event("group_added", {"teammate_ids": nested(ids)}, Audience(channel_id=channel.id)))
    return channel


def archive_channel(site: Site, channel: Channel) -> None:
    """Archive a channel: it can be read, not posted to; idempotent."""
    if channel.delete_at:
        return
    channel.delete_at = channel.update_at = site.world.now_ms()
    site.world.save(channel)
    data = {"channel_id": channel.id, "delete_at": channel.delete_at}
    site.hub.publish(Event("channel_deleted", data, Audience(team_id=channel.team_id)))

"""Routes for channels and their members."""

from __future__ import annotations

from fleetprompt.sandbox.mattermost import membership
from fleetprompt.sandbox.mattermost.api import OK, Api, Call, bad_body, reply
from fleetprompt.sandbox.mattermost.errors import ApiError, forbidden
from fleetprompt.sandbox.mattermost.records import Channel, SandboxUser
from fleetprompt.sandbox.messages import Response


def register(api: Api) -> None:
    """Add the routes of this module."""
    api.add("POST", "/channels", create)
    api.add("POST", "/channels/direct", direct)
    api.add("POST", "/channels/group", group)
    api.add("GET", "/channels/{channel_id}", channel)
    api.add("DELETE", "/channels/{channel_id}", archive)
    api.add("GET", "/channels/{channel_id}/members", members)
    api.add("POST", "/channels/{channel_id}/members", add_member)
    api.add("GET", "/channels/{channel_id}/members/{user_id}", member)
    api.add("DELETE", "/channels/{channel_id}/members/{user_id}", remove_member)
    api.add("GET", "/teams/{team_id}/channels/name/{channel_name}", channel_by_name)
    api.add("GET", "/teams/name/{team_name}/channels/name/{channel_name}", channel_by_names)
    api.add("GET", "/users/{user_id}/teams/{team_id}/channels", channels_of_user)


def create(call: Call) -> Response:
    """Create a public or private channel."""
    body = call.body("channel")
    team = call.site.world.team(str(body.get("team_id")))
    name, kind = str(body.get("name", "")), str(body.get("type", ""))
    if call.user.id not in team.members:
        raise forbidden()
    if not name or kind not in ("O", "P"):
        raise bad_body("channel")
    shown_name = str(body.get("display_name", ""))
    made = membership.create_channel(call.site, team, name, kind, display_name=shown_name, creator=call.user)
    return reply(made.as_json(), 201)


def direct(call: Call) -> Response:
    """Open the direct channel of two accounts, oneself among them."""
    ids = call.id_list("user_ids")
    if len(ids) != 2:
        raise bad_body("user_ids")
    if call.user.id not in ids and not call.user.is_admin:
        raise forbidden()
    other = next((i for i in ids if i != call.user.id), call.user.id)
    return reply(membership.direct_channel(call.site, call.user, call.site.world.user(other)).as_json(), 201)


def group(call: Call) -> Response:
    """Open the group channel of three to eight accounts; the caller comes along."""
    users = {user_id: call.site.world.user(user_id) for user_id in (*call.id_list("user_ids"), call.user.id)}
    if not 3 <= len(users) <= 8:
        raise bad_body("user_ids")
    return reply(membership.group_channel(call.site, users.values()).as_json(), 201)


def channel(call: Call) -> Response:
    """One channel."""
    found = call.channel()
    call.site.require_readable(call.user, found)
    return reply(found.as_json())


def archive(call: Call) -> Response:
    """Archive a channel."""
    found = call.channel()
    call.site.require_member(call.user, found)
    if found.kind in "DG":
        raise ApiError("api.channel.remove_members.denied")
    membership.archive_channel(call.site, found)
    return reply(OK)


def members(call: Call) -> Response:
    """The members of a channel."""
    found = call.channel()
    call.site.require_member(call.user, found)
    page, per_page = call.number("page", 0), call.number("per_page", 60)
    ids = list(found.members)[page * per_page : (page + 1) * per_page]
    return reply([found.member_as_json(user_id) for user_id in ids])


def member(call: Call) -> Response:
    """Whether an account is in a channel."""
    found = call.channel()
    call.site.require_member(call.user, found)
    user_id = call.args["user_id"]
    if user_id not in found.members:
        raise ApiError("app.channel.get_member.missing.app_error")
    return reply(found.member_as_json(user_id))


def add_member(call: Call) -> Response:
    """Put an account of the team into a channel."""
    found = call.channel()
    user_id = str(call.body("user_id").get("user_id", ""))
    user = call.site.world.user(user_id)
    if not (user is call.user and found.kind == "O"):
        call.site.require_member(call.user, found)
    membership.add_to_channel(call.site, user, found, call.user)
    return reply(found.member_as_json(user.id), 201)


def remove_member(call: Call) -> Response:
    """Take an account out of a channel."""
    found = call.channel()
    call.site.require_member(call.user, found)
    membership.remove_from_channel(call.site, call.site.world.user(call.args["user_id"]), found, call.user)
    return reply(OK)


def channel_by_name(call: Call) -> Response:
    """A channel of a team by its URL name."""
    return _named(call, call.site.world.team(call.args["team_id"]).id)


def channel_by_names(call: Call) -> Response:
    """A channel by its team's and its own URL name."""
    team = call.site.world.team_named(call.args["team_name"])
    if team is None:
        raise ApiError("app.team.get_by_name.missing.app_error")
    return _named(call, team.id)


def _named(call: Call, team_id: str) -> Response:
    found = call.site.world.channels_by_name.get((team_id, call.args["channel_name"]))
    if found is None or found.delete_at:
        raise ApiError("app.channel.get_by_name.missing.app_error")
    call.site.require_readable(call.user, found)
    return reply(found.as_json())


def channels_of_user(call: Call) -> Response:
    """The channels of an account in a team, with all its direct and group channels; by shown name, capitals first."""
    user, team = call.site.world.user(call.args["user_id"]), call.site.world.team(call.args["team_id"])
    if user is not call.user and not call.user.is_admin:
        raise forbidden()
    if user.id not in team.members:
        raise forbidden()
    archived_too = call.query.get("include_deleted") == "true"
    return reply([c.as_json() for c in _of_user(call, user, team.id) if archived_too or not c.delete_at])


def _of_user(call: Call, user: SandboxUser, team_id: str) -> list[Channel]:
    def by_shown_name(channel: Channel) -> tuple[str, int]:
        return channel.display_name, channel.create_at

    channels = call.site.world.channels.values()
    own = (c for c in channels if user.id in c.members and c.team_id in ("", team_id))
    return sorted(own, key=by_shown_name)

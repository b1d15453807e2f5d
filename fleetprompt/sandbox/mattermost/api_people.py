"""Routes for users, teams, logins and the system."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleetprompt.sandbox.mattermost.api import OK, PREFIX, Api, Call, bad_body, reply
from fleetprompt.sandbox.mattermost.errors import ApiError, forbidden
from fleetprompt.sandbox.mattermost.site import Site
from fleetprompt.sandbox.messages import Request, Response


def register(api: Api) -> None:
    """Add the routes of this module."""
    api.add_open("POST", PREFIX + "/users/login", login)
    api.add_open("GET", PREFIX + "/system/ping", ping)
    api.add_open("GET", PREFIX + "/config/client", client_config)
    api.add("POST", "/users/logout", logout)
    api.add("POST", "/users/ids", users_by_ids)
    api.add("POST", "/users/usernames", users_by_usernames)
    api.add("GET", "/users/username/{username}", user_by_username)
    api.add("GET", "/users/{user_id}", user)
    api.add("GET", "/users/{user_id}/status", status)
    api.add("GET", "/users/{user_id}/teams", teams_of_user)
    api.add("POST", "/users/{user_id}/typing", typing)
    api.add("GET", "/teams/name/{team_name}", team_by_name)
    api.add("GET", "/teams/{team_id}", team)
    api.add("GET", "/teams/{team_id}/members/{user_id}", team_member)


def login(site: Site, request: Request, args: Mapping[str, str]) -> Response:
    """Log in with name and password; the token comes as a header and as the cookie that clients must not keep."""
    try:
        body = request.json()
        login_id, password = str(body["login_id"]), str(body["password"])
    except (ValueError, KeyError, TypeError):
        raise bad_body("login") from None
    user = site.world.users_by_name.get(login_id)
    if user is None or user.is_bot or user.password != password or user.revoked:
        raise ApiError("api.user.login.invalid_credentials_email_username")
    cookie = f"MMAUTHTOKEN={user.token}; Path=/; Max-Age=15552000; HttpOnly"
    return reply(user.as_json(own=True), 200, ("token", user.token), ("set-cookie", cookie))


def logout(call: Call) -> Response:
    """End the session; a sandbox token stays good."""
    return reply(OK)


def ping(site: Site, request: Request, args: Mapping[str, str]) -> Response:
    """The server is up."""
    clients = ("AndroidLatestVersion", "AndroidMinVersion", "DesktopLatestVersion", "DesktopMinVersion")
    apple = ("IosLatestVersion", "IosMinVersion")
    return reply(dict.fromkeys((*clients, *apple), "") | OK)


def client_config(site: Site, request: Request, args: Mapping[str, str]) -> Response:
    """The settings that clients may read; all values are strings."""
    if request.query.get("format") != "old":
        raise ApiError("api.context.invalid_url_param.app_error", name="format")
    return reply(
        {
            "BuildNumber": "5.37.0",
            "EnableBotAccountCreation": "true",
            "EnableIncomingWebhooks": "true",
            "EnablePostUsernameOverride": "false",
            "MaxFileSize": "52428800",
            "MaxPostSize": str(site.max_post_runes),
            "SiteName": "Mattermost",
            "SiteURL": "",
            "Version": "5.37.0",
        }
    )


def user(call: Call) -> Response:
    """One account."""
    found = call.site.world.user(call.args["user_id"])
    return reply(found.as_json(own=found is call.user))


def user_by_username(call: Call) -> Response:
    """One account by name."""
    found = call.site.world.users_by_name.get(call.args["username"])
    if found is None:
        raise ApiError("store.sql_user.get_by_username.app_error")
    return reply(found.as_json(own=found is call.user))


def users_by_ids(call: Call) -> Response:
    """Accounts by id; unknown ids are left out."""
    users = map(call.site.world.users.get, call.id_list("user_ids"))
    return reply([found.as_json() for found in users if found])


def users_by_usernames(call: Call) -> Response:
    """Accounts by name; unknown names are left out."""
    users = map(call.site.world.users_by_name.get, call.id_list("usernames"))
    return reply([found.as_json() for found in users if found])


def status(call: Call) -> Response:
    """Online or not."""
    user_id = call.site.world.user(call.args["user_id"]).id
    state: dict[str, Any] = {"user_id": user_id, "status": call.site.hub.statuses.get(user_id, "offline")}
    return reply(state | {"manual": False, "last_activity_at": 0, "active_channel": ""})


def teams_of_user(call: Call) -> Response:
    """The teams of an account; only its own unless by an administrator."""
    user_id = call.args["user_id"]
    if user_id != call.user.id and not call.user.is_admin:
        raise forbidden()
    return reply([found.as_json() for found in call.site.world.teams.values() if user_id in found.members])


def typing(call: Call) -> Response:
    """Show that the user writes in a channel."""
    if call.args["user_id"] != call.user.id and not call.user.is_admin:
        raise forbidden()
    body = call.body("typing")
    channel = call.site.world.channels.get(str(body.get("channel_id")))
    if channel is None or call.user.id not in channel.members:
        raise forbidden()
    call.site.typing(call.user, channel.id, str(body.get("parent_id") or ""))
    return reply(OK)


def team(call: Call) -> Response:
    """One team, for its members."""
    found = call.site.world.team(call.args["team_id"])
    if call.user.id not in found.members and not call.user.is_admin:
        raise forbidden()
    return reply(found.as_json())


def team_by_name(call: Call) -> Response:
    """One team by its URL name, for its members."""
    found = call.site.world.team_named(call.args["team_name"])
    if found is None:
        raise ApiError("app.team.get_by_name.missing.app_error")
    if call.user.id not in found.members and not call.user.is_admin:
        raise forbidden()
    return reply(found.as_json())


def team_member(call: Call) -> Response:
    """Whether an account is in a team."""
    found = call.site.world.team(call.args["team_id"])
    if call.args["user_id"] not in found.members:
        raise ApiError("app.team.get.find.app_error")
    member = {"team_id": found.id, "user_id": call.args["user_id"], "roles": "team_user", "delete_at": 0}
    return reply(
        member | {"scheme_guest": False, "scheme_user": True, "scheme_admin": False, "explicit_roles": ""}
    )

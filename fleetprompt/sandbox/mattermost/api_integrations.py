"""Routes for slash commands, buttons, dialogs and outgoing webhooks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fleetprompt.sandbox.mattermost import integrations
from fleetprompt.sandbox.mattermost.api import OK, Api, Call, bad_body, eventually, reply
from fleetprompt.sandbox.mattermost.errors import ApiError, forbidden
from fleetprompt.sandbox.mattermost.frames import Audience, Event, nested
from fleetprompt.sandbox.mattermost.ids import new_id, new_secret
from fleetprompt.sandbox.mattermost.integration_records import OutgoingHook, SlashCommand
from fleetprompt.sandbox.mattermost.integrations import Written
from fleetprompt.sandbox.mattermost.site import Site
from fleetprompt.sandbox.mattermost.triggers import user_of
from fleetprompt.sandbox.messages import Answer, Request, Response


def register(api: Api) -> None:
    """Add the routes of this module."""
    api.add("POST", "/commands", create_command)
    api.add("POST", "/commands/execute", execute)
    api.add("POST", "/posts/{post_id}/actions/{action}", press)
    api.add("POST", "/hooks/outgoing", create_outgoing_hook)
    api.add_open("POST", "/api/v4/actions/dialogs/open", open_dialog)
    api.add_open("POST", "/hooks/commands/{hook_id}", answer_command)


def _text(body: Mapping[str, Any], name: str, whole: str) -> str:
    value = body.get(name) or ""
    if not isinstance(value, str):
        raise bad_body(whole)
    return value


def create_command(call: Call) -> Response:
    """Make a slash command; its token is shown to whoever made it."""
    body = call.body("command")
    team = call.site.world.team(_text(body, "team_id", "command"))
    if call.user.id not in team.members and not call.user.is_admin:
        raise forbidden()
    trigger, url = _text(body, "trigger", "command").lower(), _text(body, "url", "command")
    if not trigger or not url.startswith(("http://", "https://")):
        raise bad_body("command")
    if any(one.team_id == team.id and one.trigger == trigger for one in call.site.world.commands.values()):
        raise ApiError("api.command.duplicate_trigger.app_error")
    command = SlashCommand(
        new_id(),
        new_secret(),
        call.user.id,
        team.id,
        trigger,
        url,
        call.site.world.now_ms(),
        _text(body, "method", "command") or "P",
        _text(body, "display_name", "command"),
        bool(body.get("auto_complete")),
    )
    call.site.world.save(command)
    return reply(command.as_json(), 201)


def execute(call: Call) -> Answer:
    """Write a slash command."""
    body = call.body("command_args")
    text = _text(body, "command", "command")
    if len(text) < 2 or not text.startswith("/"):
        raise bad_body("command")
    channel = call.site.world.channel(_text(body, "channel_id", "channel_id"))
    team_id = channel.team_id or _text(body, "team_id", "team_id")
    written = Written(call.user, channel, text, team_id, _text(body, "root_id", "root_id"))

    async def carry_out() -> Response:
        return reply(await integrations.execute(call.site, written))

    return eventually(carry_out)


def press(call: Call) -> Answer:
    """Press a button, or choose from a menu."""
    option = _text(call.body("body"), "selected_option", "selected_option")
    post = call.site.world.post(call.args["post_id"])

    async def carry_out() -> Response:
        short = await integrations.press(call.site, call.user, post, call.args["action"], option)
        return reply(OK | {"trigger_id": short})

    return eventually(carry_out)


def create_outgoing_hook(call: Call) -> Response:
    """Make an outgoing webhook of a public channel."""
    body = call.body("outgoing_hook")
    words, urls = body.get("trigger_words") or [], body.get("callback_urls") or []
    if not isinstance(words, list) or not isinstance(urls, list) or not urls:
        raise bad_body("outgoing_hook")
    channel_id = _text(body, "channel_id", "outgoing_hook")
    if channel_id and call.site.world.channel(channel_id).kind != "O":
        raise forbidden()
    hook = OutgoingHook(
        new_id(),
        new_secret(),
        call.user.id,
        channel_id,
        call.site.world.team(_text(body, "team_id", "outgoing_hook")).id,
        [str(word) for word in words],
        [str(url) for url in urls],
        _text(body, "display_name", "outgoing_hook"),
        _text(body, "content_type", "outgoing_hook") or "application/x-www-form-urlencoded",
        call.site.world.now_ms(),
    )
    call.site.world.save(hook)
    return reply(hook.as_json(), 201)


def _object(request: Request, name: str) -> dict[str, Any]:
    try:
        body = json.loads(request.body)
    except ValueError:
        raise bad_body(name) from None
    if not isinstance(body, dict):
        raise bad_body(name)
    return body


def open_dialog(site: Site, request: Request, args: Mapping[str, str]) -> Response:
    """Show a dialog to whoever clicked, within three seconds of the click."""
    body = _object(request, "dialog")
    user_id = user_of(_text(body, "trigger_id", "trigger_id"), site.world.now_ms())
    site.hub.publish(Event("open_dialog", {"dialog": nested(body)}, Audience(user_id=user_id)))
    return reply(OK)


def answer_command(site: Site, request: Request, args: Mapping[str, str]) -> Response:
    """Answer a command later: five times within half an hour."""
    place = site.response_urls.use(args["hook_id"], site.world.now_ms())
    integrations.show(site, {"response_type": "ephemeral"} | _object(request, "command_response"), place)
    return Response(200, b"ok", content_type="text/plain; charset=utf-8")

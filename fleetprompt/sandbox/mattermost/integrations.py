"""What people set off beyond posts: slash commands, buttons, outgoing webhooks; each calls an integration."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from fleetprompt.sandbox.mattermost import posting
from fleetprompt.sandbox.mattermost.callbacks import CallFailed, call_form, call_json, object_of
from fleetprompt.sandbox.mattermost.errors import ApiError
from fleetprompt.sandbox.mattermost.frames import Audience, Event, nested
from fleetprompt.sandbox.mattermost.ids import new_id
from fleetprompt.sandbox.mattermost.integration_records import OutgoingHook, SlashCommand
from fleetprompt.sandbox.mattermost.records import Channel, Post, SandboxUser
from fleetprompt.sandbox.mattermost.response_urls import ResponseUrl
from fleetprompt.sandbox.mattermost.site import Site
from fleetprompt.sandbox.mattermost.triggers import new_trigger

NO_RESPONSE: Final[dict[str, Any]] = {
    "response_type": "",
    "text": "",
    "username": "",
    "channel_id": "",
    "icon_url": "",
    "type": "",
    "props": None,
    "goto_location": "",
    "trigger_id": "",
    "skip_slack_parsing": False,
    "attachments": None,
    "extra_responses": None,
}


@dataclass(frozen=True, slots=True)
class Written:
    """A slash command as a person wrote it. team_id: which team's commands are meant, in a direct message too."""

    user: SandboxUser
    channel: Channel
    text: str
    team_id: str
    root_id: str = ""


async def execute(site: Site, written: Written) -> dict[str, Any]:
    """Carry out a slash command; returns the integration's answer as the client gets it. Raises ApiError."""
    site.require_member(written.user, written.channel)
    name, _, text = written.text.removeprefix("/").partition(" ")
    command = _command(site, written.team_id, name)
    now = site.world.now_ms()
    short, trigger_id = new_trigger(written.user.id, now)
    team = site.world.team(command.team_id)
    place = ResponseUrl(written.user.id, written.channel.id, written.root_id, now)
    form = {
        "channel_id": written.channel.id,
        "channel_name": written.channel.name,
        "command": f"/{command.trigger}",
        "response_url": f"{site.url}/hooks/commands/{site.response_urls.add(place)}",
        "team_domain": team.name,
        "team_id": team.id,
        "text": text,
        "token": command.token,
        "trigger_id": trigger_id,
        "user_id": written.user.id,
        "user_name": written.user.username,
    }
    try:
        answer = _command_response(await call_form(command.url, form, command.token))
    except CallFailed:
        raise ApiError("api.command.execute_command.failed.app_error", name=command.trigger) from None
    show(site, answer, place)
    return NO_RESPONSE | answer | {"trigger_id": short}


def _command(site: Site, team_id: str, trigger: str) -> SlashCommand:
    for command in site.world.commands.values():
        if command.team_id == team_id and command.trigger == trigger.lower():
            return command
    raise ApiError("api.command.execute_command.not_found.app_error", name=trigger)


def _command_response(body: bytes) -> dict[str, Any]:
    """JSON, or plain text; an empty body is no fault here."""
    try:
        value = json.loads(body)
    except ValueError:
        value = {"text": body.decode("utf-8", "replace")}
    if not isinstance(value, dict):
        raise CallFailed("no object")
    known = {key: item for key, item in value.items() if key in NO_RESPONSE and item is not None}
    return {"response_type": "ephemeral"} | known


def show(site: Site, answer: dict[str, Any], place: ResponseUrl) -> None:
    """Post an answer for everybody as whoever wrote the command, or show it to them alone."""
    text = str(answer.get("text") or "")
    if not text and not answer.get("attachments"):
        return
    user = site.world.user(place.user_id)
    if answer.get("response_type") == "in_channel":
        props = dict(answer.get("props") or {}) | {"from_webhook": "true"}
        draft = posting.Draft(place.channel_id, text, place.root_id, props, via="webhook")
        posting.validate(site, draft)
        posting.commit(site, user, draft)
    else:
        show_privately(site, user, place.channel_id, place.root_id, text)


def show_privately(site: Site, user: SandboxUser, channel_id: str, root_id: str, text: str) -> None:
    """A post that is stored nowhere and that one account sees."""
    now = site.world.now_ms()
    post = Post(new_id(), now, 0, user.id, channel_id, text, root_id=root_id, type="system_ephemeral")
    site.shown_privately.append(post)
    data = {"post": nested(post.as_json(metadata={}))}
    site.hub.publish(Event("ephemeral_message", data, Audience(user_id=user.id)))


async def press(site: Site, user: SandboxUser, post: Post, action_id: str, option: str = "") -> str:
    """Press a button, or choose from a menu; returns the short trigger id. Raises ApiError."""
    channel = site.world.channel(post.channel_id)
    site.require_readable(user, channel)
    integration = post.integrations.get(action_id)
    if integration is None:
        raise ApiError("api.post.do_action.action_id.app_error")
    short, request = _click(site, user, post, channel, integration, option)
    try:
        answer = object_of(await call_json(str(integration.get("url")), request))
    except CallFailed:
        raise ApiError("api.post.do_action.action_integration.app_error") from None
    _take(site, user, post, answer)
    return short


def _click(
    site: Site,
    user: SandboxUser,
    post: Post,
    channel: Channel,
    integration: dict[str, Any],
    option: str,
) -> tuple[str, dict[str, Any]]:
    short, trigger_id = new_trigger(user.id, site.world.now_ms())
    team = site.world.teams.get(channel.team_id)
    kind = str(integration.get("type") or "button")
    chosen = {"selected_option": option} if kind == "select" else {}
    return short, {
        "user_id": user.id,
        "user_name": user.username,
        "channel_id": channel.id,
        "channel_name": channel.name,
        "team_id": channel.team_id,
        "team_domain": team.name if team else "",
        "post_id": post.id,
        "trigger_id": trigger_id,
        "type": kind,
        "data_source": "",
        "context": dict(integration.get("context") or {}) | chosen,
    }


def _take(site: Site, user: SandboxUser, post: Post, answer: dict[str, Any]) -> None:
    """An update without props keeps the buttons, one without a message blanks the post."""
    update = answer.get("update")
    if isinstance(update, dict):
        props = {"props": update["props"]} if isinstance(update.get("props"), dict) else {}
        changed = {"message": str(update.get("message") or "")} | props
        posting.edit(site, site.world.user(post.user_id), post.id, changed)
    if answer.get("ephemeral_text"):
        root_id = post.root_id or post.id
        show_privately(site, user, post.channel_id, root_id, str(answer["ephemeral_text"]))


def send_out(site: Site, author: SandboxUser, post: Post) -> None:
    """Call the outgoing webhooks whose trigger word the post begins with; nobody waits for them."""
    channel = site.world.channels[post.channel_id]
    if channel.kind != "O" or post.type or post.props.get("from_webhook"):
        return
    word = post.message.split(maxsplit=1)[0] if post.message.strip() else ""
    for hook in site.world.outgoing_hooks.values():
        if (
            hook.team_id == channel.team_id
            and hook.channel_id in ("", channel.id)
            and word in hook.trigger_words
        ):
            site.errands.run(_call_out(site, hook, author, post, word))


async def _call_out(site: Site, hook: OutgoingHook, author: SandboxUser, post: Post, word: str) -> None:
    channel, team = site.world.channels[post.channel_id], site.world.team(hook.team_id)
    request = {
        "token": hook.token,
        "team_id": team.id,
        "team_domain": team.name,
        "channel_id": channel.id,
        "channel_name": channel.name,
        "timestamp": post.create_at,
        "user_id": author.id,
        "user_name": author.username,
        "post_id": post.id,
        "text": post.message,
        "trigger_word": word,
        "file_ids": ",".join(post.file_ids),
    }
    for url in hook.callback_urls:
        try:
            answer = object_of(await call_json(url, request))
        except CallFailed:
            continue
        if answer.get("text"):
            root_id = (post.root_id or post.id) if answer.get("response_type") == "comment" else post.root_id
            props = {"from_webhook": "true", "webhook_display_name": hook.display_name}
            draft = posting.Draft(channel.id, str(answer["text"]), root_id, props, via="webhook")
            posting.commit(site, site.world.user(hook.creator_id), draft)

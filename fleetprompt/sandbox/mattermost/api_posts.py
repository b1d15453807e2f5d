"""Routes for posts, reactions, files and incoming webhooks."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from fleetprompt.sandbox.mattermost import posting, queries
from fleetprompt.sandbox.mattermost.api import OK, Api, Call, bad_body, reply
from fleetprompt.sandbox.mattermost.errors import ApiError, forbidden
from fleetprompt.sandbox.mattermost.frames import Audience, Event, nested
from fleetprompt.sandbox.mattermost.ids import new_id
from fleetprompt.sandbox.mattermost.records import FileInfo, IncomingHook, Post, SandboxUser
from fleetprompt.sandbox.mattermost.site import Site
from fleetprompt.sandbox.messages import Answer, Request, Response


def register(api: Api) -> None:
    """Add the routes of this module."""
    api.add("POST", "/posts", create)
    api.add("POST", "/posts/ephemeral", ephemeral)
    api.add("POST", "/posts/ids", posts_by_ids)
    api.add("GET", "/posts/{post_id}", post)
    api.add("DELETE", "/posts/{post_id}", delete)
    api.add("PUT", "/posts/{post_id}", update)
    api.add("PUT", "/posts/{post_id}/patch", patch)
    api.add("GET", "/posts/{post_id}/thread", thread)
    api.add("GET", "/posts/{post_id}/reactions", reactions)
    api.add("GET", "/channels/{channel_id}/posts", channel_posts)
    api.add("POST", "/reactions", react)
    api.add("DELETE", "/users/{user_id}/posts/{post_id}/reactions/{emoji}", unreact)
    api.add("POST", "/files", upload)
    api.add("GET", "/files/{file_id}", download)
    api.add("GET", "/files/{file_id}/info", file_info)
    api.add("POST", "/hooks/incoming", create_hook)
    api.add_open("POST", "/hooks/{hook_id}", call_hook)


def draft_of(body: Mapping[str, Any], via: str = "rest") -> posting.Draft:
    """A post's JSON as a draft. Raises ApiError 400 where Go could not decode it."""
    texts = {
        name: body.get(name) or "" for name in ("channel_id", "message", "root_id", "pending_post_id", "type")
    }
    props, file_ids = body.get("props") or {}, body.get("file_ids") or []
    well_formed = isinstance(props, dict) and isinstance(file_ids, list)
    if not well_formed or not all(isinstance(text, str) for text in texts.values()):
        raise bad_body("post")
    if texts["type"].startswith("system_"):
        raise bad_body("type")
    return posting.Draft(**texts, props=props, file_ids=[str(i) for i in file_ids], via=via)


def create(call: Call) -> Response:
    """Post."""
    answer = posting.create(call.site, call.user, draft_of(call.body("post")))
    call.site.hub.set_online(call.user)
    return reply(answer, 201)


def ephemeral(call: Call) -> Response:
    """Show one account a post that is stored nowhere; administrators only."""
    if not call.user.is_admin:
        raise forbidden()
    body = call.body("body")
    draft, now = draft_of(body.get("post") or {}), call.site.world.now_ms()
    shown = Post(
        new_id(),
        now,
        0,
        call.user.id,
        draft.channel_id,
        draft.message,
        type="system_ephemeral",
        props=draft.props,
    ).as_json(metadata={})
    audience = Audience(user_id=str(body.get("user_id")))
    call.site.hub.publish(Event("ephemeral_message", {"post": nested(shown)}, audience))
    return reply(shown, 201)


def _readable(call: Call) -> Post:
    found = call.site.world.post(call.args["post_id"])
    call.site.require_readable(call.user, call.site.world.channel(found.channel_id))
    return found


def post(call: Call) -> Response:
    """One post."""
    return reply(call.site.world.as_json(_readable(call)))


def posts_by_ids(call: Call) -> Response:
    """Posts by id; unknown, deleted and unreadable ones are left out."""
    found = (call.site.world.posts.get(post_id) for post_id in call.id_list("post_ids"))
    channels = call.site.world.channels
    return reply(
        [
            call.site.world.as_json(p)
            for p in found
            if p and not p.delete_at and call.user.id in channels[p.channel_id].members
        ]
    )


def delete(call: Call) -> Response:
    """Delete a post."""
    posting.delete(call.site, call.user, call.args["post_id"])
    return reply(OK)


def patch(call: Call) -> Response:
    """Change what is given; `props` replaces the whole map."""
    changed = posting.edit(call.site, call.user, call.args["post_id"], call.body("post"))
    return reply(call.site.world.as_json(changed))


def update(call: Call) -> Response:
    """Replace the post: props that are not given are gone."""
    body = call.body("post")
    changed = posting.edit(call.site, call.user, call.args["post_id"], {"message": "", "props": {}} | body)
    return reply(call.site.world.as_json(changed))


def thread(call: Call) -> Response:
    """The thread of a post."""
    return reply(queries.thread(call.site.world, _readable(call)))


def reactions(call: Call) -> Response:
    """The reactions to a post."""
    return reply(_readable(call).reactions)


def channel_posts(call: Call) -> Response:
    """The posts of a channel: since a time, before or after a post, or by page."""
    channel, world = call.channel(), call.site.world
    call.site.require_member(call.user, channel)
    page, per_page = (
        call.number("page", 0),
        min(call.number("per_page", queries.PER_PAGE), queries.MAX_PER_PAGE),
    )
    if call.number("since", 0):
        return reply(queries.posts_since(world, channel, call.number("since", 0)))
    if call.query.get("after"):
        return reply(queries.posts_after(world, channel, call.query["after"], page, per_page))
    if call.query.get("before"):
        return reply(queries.posts_before(world, channel, call.query["before"], page, per_page))
    return reply(queries.latest_posts(world, channel, page, per_page))


def react(call: Call) -> Response:
    """React to a post, as oneself."""
    body = call.body("reaction")
    if body.get("user_id") != call.user.id:
        raise forbidden()
    return reply(posting.react(call.site, call.user, str(body.get("post_id")), str(body.get("emoji_name"))))


def unreact(call: Call) -> Response:
    """Take one's own reaction back."""
    if call.args["user_id"] != call.user.id:
        raise forbidden()
    posting.unreact(call.site, call.user, call.args["post_id"], call.args["emoji"])
    return reply(OK)


def upload(call: Call) -> Response:
    """Take files from a multipart form, or one raw body named by `filename`."""
    channel_id, files = _uploaded(call.request)
    call.site.require_member(call.user, call.site.world.channel(channel_id))
    infos = [_store_file(call, *file) for file in files]
    return reply({"file_infos": [info.as_json() for info in infos], "client_ids": []}, 201)


def _uploaded(request: Request) -> tuple[str, list[tuple[str, str, bytes]]]:
    """Returns the channel's id and the files as (name, media type, content)."""
    media_type = request.headers.get("content-type", "")
    if not media_type.startswith("multipart/"):
        file = (request.query.get("filename", "file"), media_type, request.body)
        return request.query.get("channel_id", ""), [file]
    form = BytesParser(policy=HTTP).parsebytes(
        b"content-type: %s\r\n\r\n" % media_type.encode() + request.body
    )
    channel_id, files = request.query.get("channel_id", ""), []
    for part in form.iter_parts():
        content = part.get_payload(decode=True) or b""
        if part.get_filename():
            files.append((str(part.get_filename()), str(part.get("content-type", "")), bytes(content)))
        elif part.get_param("name", header="content-disposition") == "channel_id":
            channel_id = bytes(content).decode().strip()
    return channel_id, files


def _store_file(call: Call, name: str, media_type: str, content: bytes) -> FileInfo:
    text = media_type.startswith("text/") and "charset" not in media_type
    info = FileInfo(
        new_id(),
        call.user.id,
        call.site.world.now_ms(),
        name,
        f"{media_type}; charset=utf-8" if text else media_type,
        len(content),
        base64.b64encode(content).decode(),
    )
    call.site.world.save(info)
    return info


def _file(call: Call) -> FileInfo:
    info = call.site.world.files.get(call.args["file_id"])
    if info is None:
        raise ApiError("app.file_info.get.app_error")
    if info.post_id:
        channel = call.site.world.channel(call.site.world.posts[info.post_id].channel_id)
        call.site.require_member(call.user, channel)
    elif info.user_id != call.user.id:
        raise forbidden()
    return info


def file_info(call: Call) -> Response:
    """What is known of a file."""
    return reply(_file(call).as_json())


def download(call: Call) -> Response:
    """The file itself."""
    info = _file(call)
    return Response(200, base64.b64decode(info.content), content_type=info.mime_type)


def create_hook(call: Call) -> Response:
    """Create an incoming webhook for a channel."""
    body = call.body("incoming_webhook")
    channel = call.site.world.channel(str(body.get("channel_id")))
    call.site.require_member(call.user, channel)
    shown_name = str(body.get("display_name", ""))
    now = call.site.world.now_ms()
    hook = IncomingHook(new_id(), call.user.id, channel.id, channel.team_id, shown_name, now)
    call.site.world.save(hook)
    return reply(hook.as_json(), 201)


def call_hook(site: Site, request: Request, args: Mapping[str, str]) -> Answer:
    """Post through an incoming webhook: as its owner, marked `from_webhook`."""
    hook = site.world.hooks.get(args["hook_id"])
    if hook is None:
        raise ApiError("web.incoming_webhook.invalid.app_error")
    try:
        body = json.loads(request.body)
        text = str(body.get("text") or "")
    except (ValueError, AttributeError):
        raise ApiError("web.incoming_webhook.invalid.app_error") from None
    if not text and not body.get("attachments"):
        raise ApiError("web.incoming_webhook.invalid.app_error")
    _post_by_hook(site, site.world.user(hook.user_id), hook, text, body)
    return Response(200, b"ok", content_type="text/plain; charset=utf-8")


def _post_by_hook(
    site: Site, owner: SandboxUser, hook: IncomingHook, text: str, body: dict[str, Any]
) -> None:
    props = dict(body.get("props") or {}) | {
        "from_webhook": "true",
        "webhook_display_name": hook.display_name,
    }
    if body.get("username"):
        props["override_username"] = str(body["username"])
    if isinstance(body.get("attachments"), list):
        props["attachments"] = body["attachments"]
    draft = posting.Draft(hook.channel_id, text, props=props, via="webhook")
    posting.require_postable(site, owner, draft)
    posting.validate(site, draft)
    posting.commit(site, owner, draft)

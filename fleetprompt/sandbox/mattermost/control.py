"""The control API under `/sandbox/*`: the methods of `SandboxMattermost` for another process, as JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict, is_dataclass
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final

from fleetprompt.sandbox.mattermost.errors import ApiError
from fleetprompt.sandbox.mattermost.ids import new_id
from fleetprompt.sandbox.messages import Answer, Eventually, Request, json_response

if TYPE_CHECKING:
    from fleetprompt.sandbox.mattermost.server import SandboxMattermost

# "METHOD name" -> the method of SandboxMattermost that takes the JSON object as its arguments
ACTIONS: Final = {
    "POST users": "create_user",
    "POST teams": "create_team",
    "POST channels": "create_channel",
    "POST team-members": "add_to_team",
    "POST channel-members": "add_to_channel",
    "POST channel-removals": "remove_from_channel",
    "POST direct-channels": "direct_channel",
    "POST channel-archives": "archive_channel",
    "POST hooks": "create_hook",
    "POST posts": "post",
    "POST edits": "edit",
    "POST deletions": "delete",
    "POST reactions": "react",
    "POST typing": "typing",
    "POST commands": "create_command",
    "POST command-runs": "run_command",
    "POST presses": "press",
}
FAULTS: Final = frozenset(
    {
        "answer_429",
        "clear_faults",
        "commit_then_drop",
        "delay_posts",
        "drop_connections",
        "drop_requests",
        "fail_5xx",
        "freeze",
        "refuse_websockets",
        "restart",
        "revoke",
        "swap_frames",
        "thaw",
    }
)


class Control:
    """Answers `/sandbox/*`. No token: it listens on loopback only, as all of the sandbox does."""

    def __init__(self, server: SandboxMattermost) -> None:
        self._server = server
        self._restarting: asyncio.Task[None] | None = None

    def answer(self, request: Request) -> Answer:
        """Carry out one control request; 400 when the arguments do not fit."""
        name = request.path.removeprefix("/sandbox/")
        try:
            done = self._carry_out(request, name)
        except (ApiError, TypeError, ValueError) as error:
            return _refused(error)
        return Eventually(partial(_awaited, done)) if isawaitable(done) else json_response(200, _plain(done))

    def _carry_out(self, request: Request, name: str) -> Any:
        if request.method == "GET":
            return self._read(request, name)
        arguments = request.json() if request.body else {}
        return self._method(f"{request.method} {name}")(**arguments)

    def _read(self, request: Request, name: str) -> Any:
        if name == "posts":
            return self._server.posts(
                request.query.get("channel"), deleted=request.query.get("deleted") == "true"
            )
        if name == "private-posts":
            return self._server.shown_privately(request.query.get("user", ""))
        if name == "ledger":
            return list(self._server.ledger[int(request.query.get("after", "0")) :])
        if name == "ready":
            return {"generation": self._server.generation}
        raise ApiError("api.context.404.app_error")

    def _method(self, action: str) -> Callable[..., Any]:
        fault = action.removeprefix("POST faults/")
        if fault == "restart":
            return self._restart
        method = fault if fault in FAULTS else ACTIONS.get(action)
        if method is None:
            raise ApiError("api.context.404.app_error")
        found: Callable[..., Any] = getattr(self._server, method)
        return found

    def _restart(self, down_s: float = 0) -> None:
        """After this answer is out: the restart cuts its connection too."""

        def begin() -> None:
            self._restarting = loop.create_task(self._server.restart(down_s))

        loop = asyncio.get_running_loop()
        loop.call_later(0.02, begin)


async def _awaited(doing: Awaitable[Any]) -> Answer:
    try:
        return json_response(200, _plain(await doing))
    except ApiError as error:
        return _refused(error)


def _refused(error: ApiError | TypeError | ValueError) -> Answer:
    if isinstance(error, ApiError):
        return json_response(error.status, error.as_json(new_id()))
    return json_response(400, {"id": "sandbox.control", "message": str(error), "status_code": 400})


def _plain(value: Any) -> Any:
    """Records as JSON objects."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return {} if value is None else value

"""Where a request goes: to the control API, to a fault, to the REST API or to the websocket hub."""

from __future__ import annotations

import json
from functools import partial
from typing import Final, Protocol

from fleetprompt.sandbox.faults import Faults
from fleetprompt.sandbox.mattermost import api_channels, api_integrations, api_people, api_posts
from fleetprompt.sandbox.mattermost.api import PREFIX, Api, authenticate, refusal
from fleetprompt.sandbox.mattermost.errors import ApiError
from fleetprompt.sandbox.mattermost.faults import before_commit
from fleetprompt.sandbox.mattermost.hub import Session
from fleetprompt.sandbox.mattermost.integrations import send_out
from fleetprompt.sandbox.mattermost.site import IN_FLIGHT, Site
from fleetprompt.sandbox.messages import Answer, Cut, Later, Request, Response
from fleetprompt.sandbox.websocket import Socket, SocketListener

CONTROL: Final = "/sandbox/"
WEBSOCKET: Final = PREFIX + "/websocket"


class ControlApi(Protocol):
    """Answers `/sandbox/*`."""

    def answer(self, request: Request) -> Answer: ...


class Rejected:
    """A websocket that is cut right after its upgrade, without a frame: a bad token, a resume without a number."""

    def opened(self, socket: Socket) -> None:
        """Cut it."""
        socket.abort()

    def received(self, text: str) -> None:
        """Nobody reads it."""

    def ponged(self) -> None:
        """Nobody cares."""

    def writable(self) -> None:
        """Nothing waits."""

    def closed(self) -> None:
        """Nothing to keep."""


class MattermostApplication:
    """What the loopback server serves."""

    def __init__(self, site: Site, control: ControlApi) -> None:
        self.site = site
        self.faults = Faults()
        self._control = control
        self._api = Api(site)
        site.posted = partial(send_out, site)
        for module in (api_people, api_channels, api_posts, api_integrations):
            module.register(self._api)

    def answer(self, request: Request) -> Answer:
        """Carry out one request."""
        if request.path.startswith(CONTROL):
            return self._control.answer(request)
        fault = self.faults.take(request, "429", "5xx", "cut")
        if fault:
            return before_commit(fault)
        late = self.faults.take(request, "delay")
        if late:
            return self._delayed(request, late.value)
        return self._carry_out(request)

    def _carry_out(self, request: Request) -> Answer:
        fault = self.faults.take(request, "commit_then_drop")
        answer = self._api.answer(request)
        return Cut() if fault else answer

    def _delayed(self, request: Request, delay_s: float) -> Answer:
        pending_post_id = _pending_post_id(request)
        if not pending_post_id:
            return Later(delay_s, lambda: self._carry_out(request))
        if self.site.pending.get(pending_post_id) is not None:
            return self._carry_out(request)
        self.site.pending.put(pending_post_id, IN_FLIGHT)

        def commit() -> Answer:
            self.site.pending.forget(pending_post_id)
            return self._carry_out(request)

        return Later(delay_s, commit)

    def accept(self, request: Request) -> SocketListener | Response:
        """Take a websocket: a resumed session, a fresh one, or one that still has to send its token."""
        fault = self.faults.take(request, "refuse_websocket")
        if fault:
            return Response(int(fault.value), b"", content_type="text/plain")
        if request.path != WEBSOCKET:
            return refusal(ApiError("api.context.404.app_error"))
        if "authorization" not in request.headers and "cookie" not in request.headers:
            return Session(self.site.hub, None)
        return self._authenticated(request)

    def _authenticated(self, request: Request) -> SocketListener:
        query = request.query
        try:
            user = authenticate(self.site, request)
            session = self.site.hub.resume(
                user, query.get("connection_id", ""), query.get("sequence_number", "")
            )
        except (ApiError, ValueError):
            return Rejected()
        return session or Session(self.site.hub, user)


def _pending_post_id(request: Request) -> str:
    try:
        return str(json.loads(request.body).get("pending_post_id") or "")
    except (ValueError, AttributeError):
        return ""

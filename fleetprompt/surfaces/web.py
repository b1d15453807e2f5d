"""The web process: one Litestar application on one uvicorn server, whose end is ours to decide."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import uvicorn
from litestar import Litestar, Request, Response
from litestar.exceptions import HTTPException
from litestar.status_codes import HTTP_500_INTERNAL_SERVER_ERROR
from litestar.types import ControllerRouterHandler, Message, Scope

from fleetprompt.database.engine import is_away
from fleetprompt.kernel.errors import FleetPromptError, Unavailable
from fleetprompt.surfaces.health import Measure, Readiness, health_routes, nothing_to_measure
from fleetprompt.surfaces.status import headers_of
from fleetprompt.telemetry import get_logger, metrics

DRAIN_S: Final = 2.0  # for requests under way, out of the five seconds that the whole stop may take
BACKLOG: Final = 512
MAX_REQUEST_BYTES: Final = 10_000_000
METHODS: Final = frozenset(
    {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"}
)  # a stranger's words are no label
CODES: Final = {400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found", 405: "method_not_allowed", 413: "too_large", 429: "rate_limited"}  # fmt: skip


def create_app(
    readiness: Readiness,
    routes: Sequence[ControllerRouterHandler] = (),
    dependencies: Mapping[str, Any] | None = None,
    measure: Measure = nothing_to_measure,
) -> Litestar:
    """The application: health, metrics, and the given routes. Every error is a JSON object `{"error": {...}}`."""
    return Litestar(
        [*health_routes(readiness, measure=measure), *routes],
        dependencies=dict(dependencies or {}),
        openapi_config=None,
        logging_config=None,
        debug=False,
        request_max_body_size=MAX_REQUEST_BYTES,
        exception_handlers={HTTPException: _refused, RecursionError: _too_deep, Exception: _failed},
        before_send=[_count],
    )


def error_body(code: str, message: str) -> dict[str, Any]:
    """The envelope of every error that we answer."""
    return {"error": {"code": code, "message": message}}


def _refused(_: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """The caller's fault: the status says whose, the words are Litestar's own and quote no body."""
    status = error.status_code
    if status >= HTTP_500_INTERNAL_SERVER_ERROR:
        return _failed(_, error)
    code = CODES.get(status, "invalid_input")
    return Response(error_body(code, error.detail), status_code=status, headers=error.headers)


def _too_deep(_: Request[Any, Any, Any], __: RecursionError) -> Response[Any]:
    """JSON of absurd depth ends the decoder's recursion; that is the caller's fault."""
    return Response(error_body("bad_request", "The body is nested too deep."), status_code=400)


def _failed(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Our fault: the log gets the error, the caller its class at most. What is away for now is no fault."""
    if is_away(error):
        error = Unavailable("The database does not answer.", "Try again in a moment.")
    if isinstance(error, Unavailable):
        get_logger(__name__).warning("request refused", path=request.url.path, reason=error.what)
        return Response(error_body(error.code, str(error)), status_code=503, headers=headers_of(error))
    get_logger(__name__).error("request failed", path=request.url.path, exc_info=error)
    if isinstance(error, FleetPromptError):
        return Response(error_body(error.code, str(error)), status_code=500)
    return Response(error_body("internal", "Something went wrong here; the log says what."), status_code=500)


async def _count(message: Message, scope: Scope) -> None:
    if message["type"] == "http.response.start":
        method = str(scope.get("method"))
        metrics.WEB_REQUESTS.labels(method if method in METHODS else "other", str(message["status"])).inc()


async def serve(
    app: Litestar,
    host: str,
    port: int,
    stop: asyncio.Event,
    listening: Callable[[str, int], None] | None = None,
) -> None:
    """Serve until `stop` is set, then end within five seconds, whatever connections are open.

    Args: port: 0 = any free one; `listening` is told the host and port once connections are accepted.
    Raises Unavailable when the address cannot be used.
    """
    sockets = listen(host, port)
    server = _Server(_config(app))
    serving: asyncio.Future[Any] = asyncio.ensure_future(server.serve(sockets))
    try:
        if listening:
            listening(host, sockets[0].getsockname()[1])
        await _first_of(serving, stop)
    finally:
        server.should_exit = True
        await asyncio.shield(serving)
        server.abort_connections()


async def _first_of(serving: asyncio.Future[Any], stop: asyncio.Event) -> None:
    stopping: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        await asyncio.wait([stopping])


def _config(app: Litestar) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        ws="none",
        lifespan="on",
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=int(DRAIN_S),
    )


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: the composition root decides when to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def abort_connections(self) -> None:
        """Cut what uvicorn gave up waiting for."""
        for connection in list(self.server_state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()


def listen(host: str, port: int) -> list[socket.socket]:
    """Sockets for every address of `host`; with port 0 they share one free port. Raises Unavailable."""
    sockets: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in dict.fromkeys(found):
            bound = sockets[0].getsockname()[1] if sockets else port
            sockets.append(_listen_on(family, kind, protocol, (address[0], bound, *address[2:])))
    except OSError as error:
        for opened in sockets:
            opened.close()
        raise Unavailable(
            f"The web process cannot listen on {host} port {port}: {error.strerror or error}.",
            "Another program may use it: choose another (FLEETPROMPT_HOST, FLEETPROMPT_PORT).",
        ) from error
    return sockets


def _listen_on(family: int, kind: int, protocol: int, address: tuple[Any, ...]) -> socket.socket:
    opened = socket.socket(family, kind, protocol)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind(address)
        opened.listen(BACKLOG)
        opened.setblocking(False)
    except OSError:
        opened.close()
        raise
    return opened

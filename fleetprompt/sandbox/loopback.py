"""A small HTTP/1.1 and websocket server on 127.0.0.1 that can fail as real networks and hosts do.

Own protocol code (h11 and the Sans-I/O half of websockets) because the faults need the bare TCP connection: an answer
that is never sent, a peer that accepts and stays silent, a socket that is reset. Handlers are plain functions: the
sandbox keeps its state in memory, so a request is answered within the call that read it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Final, Protocol, cast
from urllib.parse import parse_qsl, unquote, urlsplit

import h11

from fleetprompt.sandbox.messages import Answer, Cut, Eventually, Later, Request, Response
from fleetprompt.sandbox.websocket import Socket, SocketListener

HOST: Final = "127.0.0.1"
# Served even while the server is frozen, or nobody could thaw it.
CONTROL_PREFIXES: Final = (b"GET /sandbox/", b"POST /sandbox/")


class Application(Protocol):
    """What is served."""

    def answer(self, request: Request) -> Answer: ...

    def accept(self, request: Request) -> SocketListener | Response:
        """Take a websocket, or refuse the upgrade with an HTTP answer."""
        ...


@dataclass(slots=True)
class _Incoming:
    """A request whose body is still being read."""

    head: h11.Request
    body: list[bytes] = field(default_factory=list)


class Connection(asyncio.Protocol):
    """One TCP connection: HTTP/1.1 requests one after the other, or a websocket after an upgrade."""

    def __init__(self, server: LoopbackServer) -> None:
        self.server = server
        self._http = h11.Connection(h11.SERVER)
        self._transport: asyncio.Transport | None = None
        self._incoming: _Incoming | None = None
        self._socket: Socket | None = None
        self._held = bytearray()
        self._held_eof = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._socket:
            self._socket.lost()
        if not self._held:
            self.server.ended(self)

    def data_received(self, data: bytes) -> None:
        if self.server.frozen and not (self._socket is None and data.startswith(CONTROL_PREFIXES)):
            self._held += data
        else:
            self._feed(data)

    def eof_received(self) -> bool:
        if self.server.frozen:
            self._held_eof = True
            return True
        if self._socket:
            self._socket.receive_eof()
        return False

    def thaw(self) -> None:
        """Read what came while the server was frozen; a request whose sender gave up is still carried out."""
        data, self._held = bytes(self._held), bytearray()
        if data:
            self._feed(data)
        if self._socket and not self._socket.congested:
            self._socket.set_congested(False)
        if self._held_eof:
            self.close()
        if self._transport is None:
            self.server.ended(self)

    def pause_writing(self) -> None:
        if self._socket:
            self._socket.set_congested(True)

    def resume_writing(self) -> None:
        if self._socket:
            self._socket.set_congested(False)

    def write(self, data: bytes) -> None:
        """Send bytes, unless the connection is gone."""
        if self._transport and not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Close after what is already written."""
        if self._transport:
            self._transport.close()

    def abort(self) -> None:
        """Reset; what is written but unsent, and what was held by a freeze, is lost."""
        self._held.clear()
        if self._transport:
            self._transport.abort()
        else:
            self.server.ended(self)

    @property
    def is_frozen(self) -> bool:
        """The server is frozen: nothing may be written."""
        return self.server.frozen

    @property
    def is_socket(self) -> bool:
        """It was upgraded to a websocket."""
        return self._socket is not None

    def _feed(self, data: bytes) -> None:
        if self._socket:
            self._socket.receive(data)
        else:
            self._http.receive_data(data)
            self._advance()

    def _advance(self) -> None:
        try:
            while self._socket is None and self._step(self._http.next_event()):
                pass
        except h11.RemoteProtocolError:
            self.close()

    def _step(self, event: object) -> bool:
        """Take one HTTP event. Returns whether to look for the next at once."""
        if isinstance(event, h11.Request):
            self._incoming = _Incoming(event)
        elif isinstance(event, h11.Data) and self._incoming:
            self._incoming.body.append(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage) and self._incoming:
            incoming, self._incoming = self._incoming, None
            self._dispatch(incoming)
        else:  # NEED_DATA, PAUSED, ConnectionClosed
            return False
        return True

    def _dispatch(self, incoming: _Incoming) -> None:
        request = _request_of(incoming)
        if request.headers.get("upgrade", "").lower() == "websocket":
            self._upgrade(incoming.head, request)
        else:
            self._answer(self.server.application.answer(request))

    def _upgrade(self, head: h11.Request, request: Request) -> None:
        listener = self.server.application.accept(request)
        if isinstance(listener, Response):
            self._answer(listener)
            return
        self._socket = Socket(self, listener)
        self._socket.handshake(_raw_head(head) + self._http.trailing_data[0])

    def _answer(self, answer: Answer) -> None:
        if isinstance(answer, Later):
            waiting = answer
            self.server.later(waiting.delay_s, lambda: self._answer(waiting.answer()))
        elif isinstance(answer, Eventually):
            self.server.wait_for(answer, self._answer)
        elif isinstance(answer, Cut):
            self.abort()
        elif self._transport is not None:
            self._send(answer)

    def _send(self, response: Response) -> None:
        headers = [
            ("content-type", response.content_type),
            ("content-length", str(len(response.body))),
            ("date", formatdate(usegmt=True)),  # whole seconds, as every web server
        ]
        head = h11.Response(status_code=response.status, headers=[*headers, *response.headers])
        self.write(
            (self._http.send(head) or b"")
            + (self._http.send(h11.Data(data=response.body)) or b"")
            + (self._http.send(h11.EndOfMessage()) or b"")
        )
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            self._advance()
        elif self._http.our_state is h11.MUST_CLOSE:
            self.close()


def _request_of(incoming: _Incoming) -> Request:
    url = urlsplit(incoming.head.target.decode("latin-1"))
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in incoming.head.headers}
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    return Request(incoming.head.method.decode(), unquote(url.path), query, headers, b"".join(incoming.body))


def _raw_head(head: h11.Request) -> bytes:
    lines = [b"%s %s HTTP/1.1" % (head.method, head.target), *(b"%s: %s" % pair for pair in head.headers)]
    return b"\r\n".join(lines) + b"\r\n\r\n"


class LoopbackServer:
    """Listens on 127.0.0.1; `port` 0 takes a free port, which a restart keeps."""

    def __init__(self, application: Application, port: int = 0) -> None:
        self.application = application
        self.port = port
        self.frozen = False
        self.connections: set[Connection] = set()
        self._listener: asyncio.Server | None = None
        self._timers: set[asyncio.TimerHandle] = set()
        self._waits: set[asyncio.Task[None]] = set()
        self._connection_ended = asyncio.Event()

    @property
    def url(self) -> str:
        """The base address, without a slash at the end."""
        return f"http://{HOST}:{self.port}"

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: Connection(self), HOST, self.port, backlog=1024)
        self.port = int(self._listener.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening and reset every connection; idempotent."""
        self.frozen = False
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        for wait in list(self._waits):
            wait.cancel()
        await asyncio.gather(*self._waits, return_exceptions=True)
        if self._listener:
            self._listener.close()
        self.abort_connections()
        while self.connections:
            self._connection_ended.clear()
            await self._connection_ended.wait()
        self._listener = None

    def ended(self, connection: Connection) -> None:
        """A connection is gone for good."""
        self.connections.discard(connection)
        self._connection_ended.set()

    def abort_connections(self, sockets_only: bool = False) -> None:
        """Reset the connections that are open now."""
        for connection in list(self.connections):
            if connection.is_socket or not sockets_only:
                connection.abort()

    def freeze(self, seconds: float) -> None:
        """Accept and read nothing, write nothing, for `seconds`; then go on with what came meanwhile."""
        self.frozen = True
        self.later(seconds, self.thaw)

    def thaw(self) -> None:
        """End a freeze."""
        self.frozen = False
        for connection in list(self.connections):
            connection.thaw()

    def later(self, delay_s: float, act: Callable[[], None]) -> None:
        """Call `act` after `delay_s` seconds, unless the server stops first."""

        def fire() -> None:
            self._timers.discard(timer)
            act()

        timer = asyncio.get_running_loop().call_later(delay_s, fire)
        self._timers.add(timer)

    def wait_for(self, answer: Eventually, act: Callable[[Answer], None]) -> None:
        """Call `act` with the answer once it is there, unless the server stops first."""

        async def wait() -> None:
            act(await answer.answer())

        task = asyncio.get_running_loop().create_task(wait())
        self._waits.add(task)
        task.add_done_callback(self._waits.discard)

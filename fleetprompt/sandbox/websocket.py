"""The server's end of a websocket, on the Sans-I/O half of websockets."""

from __future__ import annotations

from typing import Protocol

from websockets.frames import Frame, Opcode
from websockets.http11 import Request as HandshakeRequest
from websockets.protocol import State
from websockets.server import ServerProtocol


class Wire(Protocol):
    """The TCP connection below. is_frozen: nothing may be written now."""

    @property
    def is_frozen(self) -> bool: ...

    def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...


class SocketListener(Protocol):
    """The owner of one accepted websocket."""

    def opened(self, socket: Socket) -> None: ...

    def received(self, text: str) -> None: ...

    def ponged(self) -> None: ...

    def writable(self) -> None:
        """The peer reads again after `Socket.congested` was true."""
        ...

    def closed(self) -> None: ...


class Socket:
    """One accepted websocket: frames out by `send`, frames in to its listener."""

    def __init__(self, wire: Wire, listener: SocketListener) -> None:
        self._wire = wire
        self._listener = listener
        self._protocol = ServerProtocol(max_size=None)
        self._parts: list[bytes] = []
        self.congested = False

    @property
    def is_open(self) -> bool:
        """The handshake is done and no close frame went either way."""
        return self._protocol.state is State.OPEN

    @property
    def silent(self) -> bool:
        """The server is frozen: nothing may be written."""
        return self._wire.is_frozen

    def handshake(self, raw_request: bytes) -> None:
        """Answer the upgrade (101, or 4xx when its headers are wrong)."""
        self._protocol.receive_data(raw_request)
        for event in self._protocol.events_received():
            if isinstance(event, HandshakeRequest):
                self._protocol.send_response(self._protocol.accept(event))
        self._flush()
        if self.is_open:
            self._listener.opened(self)

    def receive(self, data: bytes) -> None:
        """Bytes from the peer."""
        self._protocol.receive_data(data)
        self._read_events()
        self._flush()

    def receive_eof(self) -> None:
        """The peer closed its side."""
        self._protocol.receive_eof()
        self._flush()

    def _read_events(self) -> None:
        for event in self._protocol.events_received():
            if not isinstance(event, Frame):
                continue
            if event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                self._read_part(event)
            elif event.opcode is Opcode.PONG:
                self._listener.ponged()

    def _read_part(self, frame: Frame) -> None:
        self._parts.append(bytes(frame.data))
        if frame.fin:
            text, self._parts = b"".join(self._parts).decode(errors="replace"), []
            self._listener.received(text)

    def send(self, text: bytes) -> None:
        """One text frame (UTF-8)."""
        if self.is_open:
            self._protocol.send_text(text)
            self._flush()

    def ping(self) -> None:
        """One ping; the pong goes to the listener."""
        if self.is_open:
            self._protocol.send_ping(b"")
            self._flush()

    def close(self) -> None:
        """A close frame without a status: the peer sees 1005."""
        if self.is_open:
            self._protocol.send_close()
            self._flush()

    def abort(self) -> None:
        """Reset the TCP connection."""
        self._wire.abort()

    def lost(self) -> None:
        """The TCP connection is gone."""
        self._listener.closed()

    def set_congested(self, congested: bool) -> None:
        """The transport's buffer filled or drained."""
        self.congested = congested
        if not congested:
            self._listener.writable()

    def _flush(self) -> None:
        for chunk in self._protocol.data_to_send():
            if chunk:
                self._wire.write(chunk)
            else:
                self._wire.close()

"""One websocket connection: reads all the time, notices loss, keeps a bounded number of frames for a slow reader."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect

from adapters.errors import AdapterError, FarSideFailed
from adapters.mattermost.client import tls_context
from adapters.mattermost.faults import SOCKET_ERRORS, translate_socket
from adapters.mattermost.parse import Frame, MalformedFrame, is_id, parse_frame
from adapters.mattermost.settings import MattermostSettings, ServerAddress

log = logging.getLogger(__name__)
wire_log = logging.getLogger(f"{__name__}.wire")
wire_log.setLevel(logging.INFO)  # at DEBUG the library writes every frame, and the token in its header
MAX_FRAME_BYTES = 16 * 2**20  # a post of 16383 runes, escaped twice, stays below 1 MB


@dataclass(frozen=True, slots=True)
class Resume:
    """Where the server may take up again: valid for about five minutes, and only if it lost nothing."""

    connection_id: str
    next_seq: int


class Socket:
    """`async with Socket(...) as socket: while frame := await socket.next_frame(): ...`

    A fresh connection begins with a `hello` frame; a resumed one has none and continues the count. After a gap in the
    count, or when the buffer is full, no further frame is taken: what was taken is still handed out, in order, and then
    `next_frame` gives None, `error` says why and `resume` where to go on (None after loss: catch up instead).
    """

    def __init__(self, settings: MattermostSettings, address: ServerAddress, resume: Resume | None) -> None:
        self._settings = settings
        self._address = address
        self._connection_id = resume.connection_id if resume else ""
        self._next_seq = resume.next_seq if resume else 0
        self.is_resuming = resume is not None
        self._frames: deque[Frame] = deque()
        self._news = asyncio.Event()
        self._undecodable = 0
        self._lost = False
        self._ended = False
        self.error: AdapterError | None = None
        self._connection: ClientConnection | None = None
        self._pump: asyncio.Task[None] | None = None

    @property
    def connection_id(self) -> str:
        """The server's name for this connection, the same after a resume."""
        return self._connection_id

    @property
    def resume(self) -> Resume | None:
        """How to go on after this connection without loss; None when frames were lost."""
        if self._lost or not self._connection_id:
            return None
        return Resume(self._connection_id, self._next_seq)

    async def __aenter__(self) -> Socket:
        try:
            self._connection = await self._connect()
        except SOCKET_ERRORS as error:
            raise translate_socket(error) from error
        self._pump = asyncio.create_task(self._read(self._connection), name="mattermost-socket")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.end()

    async def end(self) -> None:
        """Close and let the reader see the end; idempotent."""
        self._finish()
        if self._pump is not None:
            self._pump.cancel()
            # Not by suppressing: a cancellation of whoever ends us would be swallowed with the reader's.
            await asyncio.gather(self._pump, return_exceptions=True)
        if self._connection is not None:
            await self._connection.close()

    async def next_frame(self) -> Frame | None:
        """The next frame; None when the connection is over and all its frames are handed out."""
        while not self._frames:
            if self._ended:
                return None
            self._news.clear()
            await self._news.wait()
        return self._frames.popleft()

    async def _connect(self) -> ClientConnection:
        pace = self._settings.pace
        query = {"connection_id": self._connection_id, "sequence_number": self._next_seq}
        url = self._address.websocket_url + (f"?{urlencode(query)}" if self.is_resuming else "")
        return await connect(
            url,
            additional_headers={"Authorization": f"Bearer {self._settings.token.strip()}"},
            user_agent_header="FleetPrompt",
            compression=None,
            open_timeout=pace.connect_timeout_s + pace.pong_timeout_s,
            ping_interval=pace.ping_interval_s,
            ping_timeout=pace.pong_timeout_s,
            close_timeout=1,
            max_size=MAX_FRAME_BYTES,
            proxy=None if self._address.is_loopback else True,
            ssl=tls_context(self._settings) if self._address.scheme == "https" else None,
            logger=wire_log,
        )

    async def _read(self, connection: ClientConnection) -> None:
        try:
            while self._take(await connection.recv(decode=False)):
                pass
        except SOCKET_ERRORS as error:
            self.error = self.error or translate_socket(error)
        finally:
            self._finish()

    def _finish(self) -> None:
        self._ended = True
        self._news.set()

    def _take(self, raw: bytes) -> bool:
        """Keep one message. False = stop reading."""
        try:
            frame = parse_frame(raw)
        except MalformedFrame as error:
            log.warning("mattermost: frame skipped: %s (%d bytes)", error, len(raw))
            self._undecodable += 1  # it may have carried a number of the count
            return True
        if frame is None:
            return True
        if frame.event == "hello":
            offered = frame.data.get("connection_id")
            self._connection_id = offered if is_id(offered) else ""
            self._next_seq = frame.seq
        return self._keep(frame)

    def _keep(self, frame: Frame) -> bool:
        missing = frame.seq - self._next_seq
        if missing < 0:
            return True  # repeated by a resume
        if missing > self._undecodable:
            return self._stop("frames were lost (gap in seq)", lost=True)
        if len(self._frames) >= self._settings.pace.buffered_frames:
            return self._stop("frames came faster than they were taken", lost=False)
        self._undecodable = 0
        self._next_seq = frame.seq + 1
        self._frames.append(frame)
        self._news.set()
        return True

    def _stop(self, why: str, *, lost: bool) -> bool:
        self._lost = lost
        self.error = FarSideFailed(why)
        return False

"""The service spread over processes, as on several machines: one Postgres over TCP, each with a data directory."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from fleetprompt import listener, worker
from fleetprompt.composition import open_house
from fleetprompt.settings import Settings
from tests import killing
from tests.house import House
from tests.town import Town

BLOCK = 65_536


@contextlib.asynccontextmanager
async def over_tcp(url: str) -> AsyncIterator[str]:
    """The same database by host and port; a server that listens on a socket alone gets a port on loopback."""
    parsed = make_url(url)
    if parsed.host:
        yield url
        return
    socket = f"{parsed.query['host']}/.s.PGSQL.{parsed.query['port']}"
    pipes: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_unix_connection(socket)
        for pipe in (_pipe(reader, outer), _pipe(inner, writer)):
            task = asyncio.create_task(pipe)
            pipes.add(task)
            task.add_done_callback(pipes.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        bare = parsed.set(host="127.0.0.1", port=port, query={})
        yield bare.render_as_string(hide_password=False)
    finally:
        server.close()
        for task in list(pipes):
            task.cancel()
        await asyncio.gather(*pipes, return_exceptions=True)
        await server.wait_closed()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with contextlib.suppress(OSError):
            while data := await reader.read(BLOCK):
                writer.write(data)
                await writer.drain()
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def work(settings: dict[str, Any]) -> None:
    """A worker until killed."""
    async with open_house(Settings.model_validate(settings), role="worker", migrate=False) as house:
        await worker.serve(house, asyncio.Event())


async def listen(settings: dict[str, Any]) -> None:
    """A listener until killed."""
    async with open_house(Settings.model_validate(settings), role="listener", migrate=False) as house:
        await listener.serve(house, asyncio.Event())


@contextlib.contextmanager
def spread(play: Town, url: str, place: Path, **settings: Any) -> Iterator[dict[int, ForkServerProcess]]:
    """Two workers and two listeners, by their pids."""
    values = {**play.settings.model_dump(), "database_url": url, **settings}
    with contextlib.ExitStack() as stack:
        started = [
            stack.enter_context(
                killing.running(program, {**values, "data_dir": place / f"{program.__name__}{number}"})
            )
            for program in (work, listen)
            for number in (1, 2)
        ]
        yield {process.pid or 0: process for process in started}


async def holder(house: House) -> int | None:
    """The pid of the process that holds the connection now; None while nobody does."""
    found = await house.value(
        "select holder from public.connections where holder is not null and lease_until > clock_timestamp()"
    )
    return int(found.split(":")[1]) if found else None


async def held_by_another(house: House, than: int | None, within_s: float = 10.0) -> int:
    """Wait until somebody else holds it."""
    async with asyncio.timeout(within_s):
        while (now := await holder(house)) in (None, than):
            await asyncio.sleep(0.05)
    assert now is not None
    return now


@contextlib.contextmanager
def frozen(pid: int) -> Iterator[None]:
    """SIGSTOP, and SIGCONT at the end of the block."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)

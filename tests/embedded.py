"""Other processes that hold a share of an embedded server, for tests."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Self

import asyncpg

from fleetprompt.database.embedded import EmbeddedPostgres, ServerAddress

ROOT = Path(__file__).parent.parent
PROGRAM = """
import asyncio, json, sys
from pathlib import Path
from fleetprompt.database.embedded import EmbeddedPostgres

async def hold():
    server = EmbeddedPostgres(Path(sys.argv[1]), grace_s=float(sys.argv[2]))
    address = await server.start()
    print(json.dumps({"postmaster": server.postmaster_pid(), "keeper": server.keeper_pid(), "url": address.url()}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop()

asyncio.run(hold())
"""


class Holder:
    """A process that starts the server, says so, and stops it when told."""

    def __init__(self, process: asyncio.subprocess.Process, said: dict[str, Any]) -> None:
        self.process = process
        self.postmaster: int = said["postmaster"]
        self.keeper: int = said["keeper"]
        self.url: str = said["url"]

    @classmethod
    async def start(
        cls, data_dir: Path, grace_s: float = 10.0, user: int | None = None, python: str = sys.executable
    ) -> Self:
        drop: dict[str, Any] = {} if user is None else {"user": user, "group": user, "extra_groups": []}
        process = await asyncio.create_subprocess_exec(
            python,
            "-c",
            PROGRAM,
            str(data_dir),
            str(grace_s),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            cwd="/",
            **drop,
        )
        assert process.stdout is not None
        line = await process.stdout.readline()
        assert line, "the holder did not start"
        return cls(process, json.loads(line))

    async def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        await self.process.wait()

    async def kill(self) -> None:
        """kill -9"""
        self.process.kill()
        await self.process.wait()
        assert self.process.stdin is not None
        self.process.stdin.close()


@contextlib.asynccontextmanager
async def started(data_dir: Path, **options: Any) -> AsyncIterator[EmbeddedPostgres]:
    """A server in this process, stopped afterwards whatever happened."""
    server = EmbeddedPostgres(data_dir, **options)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def query(address: ServerAddress, sql: str) -> Any:
    connection = await asyncpg.connect(**address.kwargs(), timeout=5)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def eventually(is_true: Callable[[], bool], within_s: float = 10.0) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if is_true():
            return True
        await asyncio.sleep(0.02)
    return is_true()


async def answers(address: ServerAddress, within_s: float = 10.0) -> bool:
    """Does the server take logins again by itself?"""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await query(address, "select 1")
            return True
        await asyncio.sleep(0.02)
    return False


def lives(pid: int) -> bool:
    """A process that is no zombie (in a container nobody may collect those)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] != "Z"

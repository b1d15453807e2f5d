"""FleetPrompt as its users run it: `python -m fleetprompt ...` in processes of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Awaitable, Mapping
from functools import cache
from pathlib import Path
from typing import Final, TypeVar

from fleetprompt.sandbox.demo.faults import DemoFailed
from fleetprompt.sandbox.demo.place import is_free

PROGRAM: Final = (sys.executable, "-m", "fleetprompt")
COMMAND_S: Final = 120.0
STOP_S: Final = 10.0
WEB_PORTS: Final = range(20_000, 30_000)
LAST_LINES: Final = 12
LINE_CHARS: Final = 300

T = TypeVar("T")

_children: set[Process] = set()


def own_environment(data_dir: Path, order_desk_url: str) -> dict[str, str]:
    """Nothing of the person's own FleetPrompt or exporters gets in. Short leases: a demo's spectators are impatient."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("FLEETPROMPT_", "OTEL_"))
    }
    return kept | {
        "FLEETPROMPT_DATA_DIR": str(data_dir),
        "FLEETPROMPT_ORDER_DESK_URL": order_desk_url,
        "FLEETPROMPT_PORT": str(web_port()),
        "FLEETPROMPT_LEASE_S": "2",
        "FLEETPROMPT_HEARTBEAT_S": "0.5",
        "FLEETPROMPT_REAP_EVERY_S": "0.5",
        "FLEETPROMPT_LOG_FORMAT": "console",
        "PYTHONUNBUFFERED": "1",
    }


@cache
def web_port() -> int:
    """Where the pages are in this demo, each time the service starts: free now, and of no range that connections take."""
    ports = random.sample(WEB_PORTS, len(WEB_PORTS))
    return next((port for port in ports if is_free(port)), 0)


def kill_children() -> None:
    """End at once what this demo started; for a person who presses Ctrl-C twice."""
    for child in _children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)


async def command(environment: Mapping[str, str], *words: str) -> str:
    """Run one command; what it printed. Raises DemoFailed with what it complained of."""
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, *words, env=environment, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, start_new_session=True
    )
    _children.add(process)
    try:
        out, complaint = await asyncio.wait_for(process.communicate(), COMMAND_S)
    except TimeoutError:
        raise DemoFailed(f"`fleetprompt {' '.join(words)}` took more than {COMMAND_S:.0f} s.") from None
    finally:
        await _end(process)
    if process.returncode:
        raise DemoFailed(
            f"`fleetprompt {' '.join(words)}` failed: {complaint.decode(errors='replace').strip()}"
        )
    return out.decode()


class Service:
    """`fleetprompt up`. Its output goes to the log file."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self._environment = environment
        self._log = log
        self._process: Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Start the process; it serves a little later."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *PROGRAM,
                "up",
                env=self._environment,
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        _children.add(self._process)

    async def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        os.kill(self.pid, signal.SIGKILL)
        await self._gone()

    async def stop(self) -> None:
        """Ask it to stop, and insist after a while; idempotent."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), STOP_S)
        await self._gone()

    async def _gone(self) -> None:
        if self._process is not None:
            await _end(self._process)

    async def during(self, what: Awaitable[T]) -> T:
        """Await something that FleetPrompt has to do. Raises DemoFailed, with its last words, when it does not."""
        assert self._process is not None
        task = asyncio.ensure_future(what)
        ending = asyncio.create_task(self._process.wait())
        try:
            await asyncio.wait([task, ending], return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise DemoFailed(f"`fleetprompt up` ended by itself (exit {ending.result()}).")
            return task.result()
        except DemoFailed as error:
            raise DemoFailed(error.what, self.last_words()) from error
        finally:
            task.cancel()
            ending.cancel()
            await asyncio.wait([task, ending])

    def address(self) -> str:
        """What it serves, as it said when it started last. Raises DemoFailed."""
        said = re.findall(r"serves on (http://[^ ]+)", self._log.read_text(errors="replace"))
        if not said:
            raise DemoFailed("FleetPrompt did not say what it serves.", self.last_words())
        return str(said[-1])

    def last_words(self) -> str:
        """Where the log is, and its end."""
        lines = self._log.read_text(errors="replace").splitlines() if self._log.exists() else []
        return "\n".join(
            [f"Its log, {self._log}, ends so:", *(line[:LINE_CHARS] for line in lines[-LAST_LINES:])]
        )


async def _end(process: Process) -> None:
    """Kill it unless it has ended, and reap it."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    _children.discard(process)

"""Processes to be killed: a coroutine of a test, run in a process of its own that dies at a fault point.

They are forked from a server that has imported everything, so each starts in milliseconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Coroutine, Iterator
from multiprocessing.context import ForkServerProcess
from typing import Any

from fleetprompt.kernel import faults

PATIENCE_S = 30.0

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(["tests.programs", "tests.warm"])

Program = Callable[..., Coroutine[Any, Any, None]]


@contextlib.contextmanager
def running(program: Program, *arguments: Any, fault: str = "") -> Iterator[ForkServerProcess]:
    """The program in a process of its own, armed; killed at the end of the block if it still lives."""
    process = _server.Process(target=_run, args=(program, arguments, fault))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()
        process.close()


async def run(program: Program, *arguments: Any, fault: str = "") -> int:
    """Run it to its end; returns its exit code, -9 if it died at the fault point."""
    with running(program, *arguments, fault=fault) as process:
        return await ended(process)


async def ended(process: ForkServerProcess) -> int:
    """Wait for its end; returns the exit code."""
    await asyncio.to_thread(process.join, PATIENCE_S)
    assert process.exitcode is not None, "the process does not end"
    return process.exitcode


async def dies(program: Program, *arguments: Any, fault: str) -> None:
    """Run it until kill -9 at the fault point."""
    assert await run(program, *arguments, fault=fault) == -signal.SIGKILL, f"it never reached {fault}"


def _run(program: Program, arguments: tuple[Any, ...], fault: str) -> None:
    faults.arm(fault)
    asyncio.run(program(*arguments))

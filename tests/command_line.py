"""The real `fleetprompt` command in processes of its own, against a test's database.

They are forked from a server that has imported everything, since a test machine would spend its time on imports;
`start` runs one as an operator does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.leaks import search_text
from tests.serving import MASTER_KEY

PROGRAM = (sys.executable, "-m", "fleetprompt")
PATIENCE_S = 40.0
STOP_S = 5.0
SHOWN_ONCE = {"create", "rotate"}  # of a key: its secret is the answer

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(["tests.command_preload", "tests.programs"])


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[Any]:
        """Each line of stdout as JSON."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def row(self) -> Any:
        """The only line."""
        [only] = self.rows
        return only


@dataclass(frozen=True, slots=True)
class CommandLine:
    """Runs commands with the same settings; nothing of the tester's own FleetPrompt gets in."""

    settings: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def on(cls, url: str, **more: str) -> CommandLine:
        """With a database of one's own."""
        own = {"FLEETPROMPT_DATABASE_URL": url, "FLEETPROMPT_MASTER_KEY": MASTER_KEY}
        return cls({**own, **more})

    async def __call__(self, *words: str, stdin: str = "", **more: str) -> Said:
        """Run one command to its end."""
        return await asyncio.to_thread(_run, words, stdin, self.environment(**more))

    async def ok(self, *words: str, **more: str) -> Said:
        """Run one that has to succeed."""
        said = await self(*words, **more)
        assert said.code == 0, said
        return said

    async def start(self, *words: str, **more: str) -> asyncio.subprocess.Process:
        """Run one that stays."""
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *PROGRAM, *words, stdin=pipe, stdout=pipe, stderr=pipe, env=self.environment(**more)
        )

    def environment(self, **more: str) -> dict[str, str]:
        """What the command sees."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("FLEETPROMPT_", "OTEL_", "COV"))}
        return {**kept, "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "100", **self.settings, **more}


def _run(words: tuple[str, ...], stdin: str, environment: Mapping[str, str]) -> Said:
    with tempfile.TemporaryDirectory(prefix="fleetprompt-command-") as folder:
        streams = [Path(folder) / name for name in ("in", "out", "err")]
        streams[0].write_text(stdin)
        process = _server.Process(target=_command, args=(words, dict(environment), streams))
        process.start()
        process.join(PATIENCE_S)
        code = process.exitcode
        if code is None:
            process.kill()
            process.join()
        process.close()
        assert code is not None, f"{words} does not end"
        said = Said(code, streams[1].read_text(), streams[2].read_text())
        if not set(words) & SHOWN_ONCE:
            search_text(said.out + said.err, f"what {words} said")
        return said


def _command(words: tuple[str, ...], environment: Mapping[str, str], streams: list[Path]) -> None:
    """In the forked process: become the command."""
    from fleetprompt.cli import main

    os.environ.clear()
    os.environ.update(environment)
    for number, path in enumerate(streams):
        flags = os.O_RDONLY if number == 0 else os.O_CREAT | os.O_WRONLY
        os.dup2(os.open(path, flags, 0o600), number)
    sys.stdin = os.fdopen(os.dup(0))  # multiprocessing gave it the null device
    main(list(words))


def is_one_line(text: str) -> bool:
    """What a person reads of an error: one line, no traceback."""
    return text.count("\n") == 1 and "Traceback" not in text and text.strip() != ""


@contextlib.asynccontextmanager
async def staying(run: CommandLine, *words: str, **more: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A command that stays; killed at the end if the test did not stop it."""
    process = await run.start(*words, **more)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def line(process: asyncio.subprocess.Process, pattern: str) -> re.Match[str]:
    """The first line of stdout that matches."""
    assert process.stdout is not None
    async with asyncio.timeout(30):
        while raw := await process.stdout.readline():
            if found := re.search(pattern, raw.decode()):
                return found
    raise AssertionError(f"it ended without saying {pattern}")


async def stopped(
    process: asyncio.subprocess.Process, number: signal.Signals = signal.SIGINT, within_s: float = STOP_S
) -> int:
    """Stop it; the exit code. Fails if it takes too long."""
    began = time.monotonic()
    process.send_signal(number)
    await asyncio.wait_for(process.wait(), 20)
    assert time.monotonic() - began < within_s
    assert process.returncode is not None
    return process.returncode

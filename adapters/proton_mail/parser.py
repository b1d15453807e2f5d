"""Parsing off the event loop, in processes that can be killed.

A thread cannot: a regular expression that runs away holds the interpreter's lock, and the loop with it. So a mail that
takes too long, too much memory or the whole parser down is set aside, and the next one meets a fresh process.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import sys
import weakref
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import asdict
from typing import Any, Final

from pydantic_core import from_json

from adapters.errors import Passing
from adapters.proton_mail.mail import Mail, Quarantine
from adapters.proton_mail.parser_child import ANSWER, FRAME
from adapters.proton_mail.settings import MailLimits

# A mail that takes long holds up no other account: one takes all but one of them, two at a time where there are two cores.
PROCESSES: Final = 3
IDLE_S: Final = 20.0
START_S: Final = 20.0
PIECE_BYTES: Final = 64 * 1024
PIPE_BYTES: Final = 1024 * 1024  # what a user may have by default
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024


class ParserDied(Exception):
    """The process ended in the middle of a mail."""


class _Process:
    """One parser process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.is_warm = False

    @classmethod
    async def start(cls, memory_bytes: int) -> _Process:
        """Without our environment: it holds secrets."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "adapters.proton_mail.parser_child",
            str(memory_bytes),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,  # a traceback would quote the mail
            env={"PYTHONPATH": os.pathsep.join(sys.path), "PUREMAGIC_DEEPSCAN": "0", "PYTHONUTF8": "1"},
        )
        _widen(process)
        return cls(process)

    async def ask(
        self, options: bytes, raws: Sequence[bytes], limits: MailLimits
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The mails' answers, in order; the process always has the next mail at hand. Raises ParserDied and TimeoutError."""
        writing = asyncio.create_task(self._write(options, raws))
        try:
            for _ in raws:
                async with asyncio.timeout(limits.parse_s + (0 if self.is_warm else START_S)):
                    answer = await self._read()
                self.is_warm = True
                yield answer
        finally:
            writing.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await writing

    async def _write(self, options: bytes, raws: Sequence[bytes]) -> None:
        sink = self._process.stdin
        assert sink is not None
        for raw in raws:
            sink.write(FRAME.pack(len(options), len(raw)) + options + raw[:PIECE_BYTES])
            await sink.drain()
            for start in range(PIECE_BYTES, len(raw), PIECE_BYTES):
                sink.write(raw[start : start + PIECE_BYTES])
                await sink.drain()

    async def _read(self) -> dict[str, Any]:
        source = self._process.stdout
        assert source is not None
        try:
            (size,) = ANSWER.unpack(await source.readexactly(ANSWER.size))
            if size > MAX_ANSWER_BYTES:
                raise ParserDied("an endless answer")
            answer: dict[str, Any] = from_json(await source.readexactly(size))
        except (OSError, EOFError, ValueError) as error:
            raise ParserDied(type(error).__name__) from None
        return answer

    @property
    def pid(self) -> int:
        """The system's number."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """As far as the loop has heard; one that died this moment is met by the second try."""
        return self._process.returncode is None

    async def stop(self) -> None:
        """Kill it and give its pipes back."""
        with suppress(ProcessLookupError):
            self._process.kill()
        if self._process.stdin is not None:
            self._process.stdin.close()
        with suppress(OSError, EOFError):
            await self._process.communicate()


def _widen(process: asyncio.subprocess.Process) -> None:
    """So that a few mails, and their answers, wait in the pipe and not for our turn. Linux alone can do it."""
    for stream in (process.stdin, process.stdout):
        pipe = getattr(stream, "_transport", None)
        file = None if pipe is None else pipe.get_extra_info("pipe")
        if file is not None and hasattr(fcntl, "F_SETPIPE_SZ"):
            with suppress(OSError):  # more than this user may have
                fcntl.fcntl(file.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)


class Parser:
    """Parser processes of one event loop, started when they are needed and stopped when nobody needs them."""

    def __init__(self, memory_bytes: int, processes: int = PROCESSES) -> None:
        self._memory_bytes = memory_bytes
        self._processes = processes
        self._turns = asyncio.Semaphore(processes)
        self._idle: list[_Process] = []
        self._running: set[int] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._stopping: set[asyncio.Task[None]] = set()
        self._users = 0

    @property
    def process_ids(self) -> frozenset[int]:
        """Of its processes that live now."""
        return frozenset(self._running)

    def share(self) -> Share:
        """What one account may take."""
        return Share(self, max(1, self._processes - 1))

    def use(self) -> None:
        """One user more; each has to call `leave` once."""
        self._users += 1

    async def leave(self) -> None:
        """The last one stops the processes."""
        self._users -= 1
        if self._users == 0:
            await self.stop()

    async def stop(self) -> None:
        """Stop what is idle."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self._stop_idle()
        if self._stopping:
            await asyncio.gather(*self._stopping)

    async def parse(self, raw: bytes, own: tuple[str, ...], limits: MailLimits) -> Mail | Quarantine:
        """One mail. Never raises for what it contains."""
        [read] = await self.parse_all([raw], own, limits)
        return read

    async def parse_all(
        self, raws: Sequence[bytes], own: tuple[str, ...], limits: MailLimits
    ) -> list[Mail | Quarantine]:
        """Some mails, in order. One that ends two parsers is set aside; those behind it meet a fresh process."""
        options = json.dumps({"own": own, "limits": asdict(limits)}).encode()
        read: list[Mail | Quarantine] = []
        is_suspected = False
        while len(read) < len(raws):
            rest = raws[len(read) :]
            async with self._turns:
                process = await self._process(fresh=is_suspected)
                died = await self._read_on(process, options, rest[:1] if is_suspected else rest, read, limits)
            if died and is_suspected:
                read.append(Quarantine("parser_died", "Reading it ended the parser, twice."))
            # A process may be killed by whoever needs memory: once is no proof, and no other mail is drawn in.
            is_suspected = died and not is_suspected
        return read

    async def _process(self, *, fresh: bool) -> _Process:
        """One that waits and lives still, or a new one. Raises Passing when this host has no room for it."""
        while self._idle and not fresh:
            process = self._idle.pop()
            if process.is_alive:
                return process
            await self._end(process)
        try:
            process = await _Process.start(self._memory_bytes)
        except OSError as error:
            words = f"no process could be started to read mails ({type(error).__name__})"
            raise Passing(
                words, advice="See what processes and memory FleetPrompt's host has left."
            ) from error
        self._running.add(process.pid)
        return process

    async def _read_on(
        self,
        process: _Process,
        options: bytes,
        raws: Sequence[bytes],
        read: list[Mail | Quarantine],
        limits: MailLimits,
    ) -> bool:
        """As far as it goes; returns whether the process died over the mail behind those that it read."""
        is_kept = False
        try:
            async with aclosing(process.ask(options, raws, limits)) as answers:
                async for answer in answers:
                    read.append(_read(answer))  # noqa: PERF401 - what came before a death counts
            is_kept = True
        except TimeoutError:
            read.append(Quarantine("too_slow", f"Reading it takes longer than {limits.parse_s:g} s."))
        except ParserDied:
            return True
        finally:
            await self._give_back(process, is_kept)
        return False

    async def _give_back(self, process: _Process, is_kept: bool) -> None:
        if not is_kept or self._users <= 0:
            await self._end(process)
            return
        self._idle.append(process)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(IDLE_S, self._rest)

    def _rest(self) -> None:
        """Nobody asked for a while: give the memory back."""
        task = asyncio.get_running_loop().create_task(self._stop_idle())
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)

    async def _stop_idle(self) -> None:
        idle, self._idle = self._idle, []
        for process in idle:
            await self._end(process)

    async def _end(self, process: _Process) -> None:
        self._running.discard(process.pid)
        await process.stop()


class Share:
    """One account's part of the parser: never all of its processes, however many slow mails it has waiting."""

    def __init__(self, parser: Parser, processes: int) -> None:
        self._parser = parser
        self._turns = asyncio.Semaphore(processes)

    async def parse_all(
        self, raws: Sequence[bytes], own: tuple[str, ...], limits: MailLimits
    ) -> list[Mail | Quarantine]:
        """As of `Parser`."""
        async with self._turns:
            return await self._parser.parse_all(raws, own, limits)


def _read(answer: dict[str, Any]) -> Mail | Quarantine:
    return Mail.from_json(answer["mail"]) if "mail" in answer else Quarantine(*answer["quarantine"])


_PARSERS: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Parser] = weakref.WeakKeyDictionary()


def shared_parser(memory_bytes: int) -> Parser:
    """The running loop's parser: all accounts of one process share it."""
    loop = asyncio.get_running_loop()
    if loop not in _PARSERS:
        _PARSERS[loop] = Parser(memory_bytes)
    return _PARSERS[loop]

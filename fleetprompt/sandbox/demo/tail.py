"""The demo stays open: the person at the terminal writes in #support as `you`, and reads what comes."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fleetprompt.sandbox.demo.screen import DIM, Screen
from fleetprompt.sandbox.demo.service import Service
from fleetprompt.sandbox.demo.town import AGENT, CHANNEL, YOU, Town
from fleetprompt.sandbox.demo.transcript import Threads, Transcript
from fleetprompt.sandbox.mattermost import ApiError, LedgerEntry, Post

LOOK_EVERY_S: Final = 0.05
PROMPT: Final = f"{YOU}> "
CLEAR_LINE: Final = "\r\x1b[K"
HELP: Final = f"""\
Whatever you type is posted in #{CHANNEL} as {YOU}. Mention @{AGENT} to be answered.
  /{AGENT} text      a slash command: only you see the answer
  /thread N text   reply in thread N (the numbers in square brackets)
  /quit            leave (Ctrl-C and Ctrl-D do, too)
Try:  @{AGENT} help
      @{AGENT} where is order 1234?
      /{AGENT} help
      /thread 1 @{AGENT} put order 1235 on hold because the lamp flickers"""


class Tail:
    """What is on the screen, and where a typed line goes."""

    def __init__(self, town: Town, screen: Screen, threads: Threads) -> None:
        self.town = town
        self.screen = screen
        self.threads = threads
        self.shown = len(town.mattermost.ledger)
        self.is_open = True

    async def run(self, service: Service) -> None:
        """Until /quit or the end of the input. Raises DemoFailed when FleetPrompt ends by itself."""
        self.screen.write(HELP)
        self.screen.write()
        self._prompt()
        async with typed_lines() as lines:
            await service.during(self._converse(lines))

    async def _converse(self, lines: asyncio.Queue[str | None]) -> None:
        while self.is_open:
            self._show_new()
            try:
                line = await asyncio.wait_for(lines.get(), LOOK_EVERY_S)
            except TimeoutError:
                continue
            if line is None:
                self.screen.write()
                return
            await self._take(line.strip())
            if self.is_open:
                self._prompt()

    def _prompt(self) -> None:
        self.screen.out.write(self.screen.styled(PROMPT, DIM))
        self.screen.out.flush()

    async def _take(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        match word:
            case "":
                pass
            case "/quit" | "/exit":
                self.is_open = False
            case "/thread":
                self._reply(rest)
            case _ if word == f"/{AGENT}":
                await self._command(line)
            case _ if word.startswith("/"):
                self.screen.write(HELP)
            case _:
                self._post(line, "")

    def _reply(self, rest: str) -> None:
        number, _, text = rest.strip().partition(" ")
        root_id = self.threads.root_id(int(number)) if number.isdecimal() else None
        if root_id is None or not text.strip():
            self.screen.write("Write it as: /thread 1 your words. The numbers stand in square brackets.")
        else:
            self._post(text.strip(), root_id)

    async def _command(self, line: str) -> None:
        """What comes back is for the person at the terminal alone; a late answer comes as a direct message."""
        try:
            answer = await self.town.mattermost.run_command(YOU, CHANNEL, line)
        except ApiError as error:
            self.screen.write(f"Mattermost refused it: {error}")
            return
        self.screen.write(self.screen.styled("       only you see:", DIM))
        for said in str(answer["text"]).splitlines():
            self.screen.write(f"       {said}")

    def _post(self, text: str, root_id: str) -> None:
        try:
            post = self.town.mattermost.post(YOU, CHANNEL, text, root_id=root_id)
        except ApiError as error:
            self.screen.write(f"Mattermost refused it: {error}")
            return
        hint = "" if f"@{AGENT}" in text.casefold() else f"; nobody is woken without @{AGENT}"
        self.screen.write(
            self.screen.styled(f"       posted in thread [{self.threads.number(post)}]{hint}", DIM)
        )

    def _show_new(self) -> None:
        """Posts of others; the prompt comes again below them."""
        ledger = self.town.mattermost.ledger
        new, self.shown = ledger[self.shown :], len(ledger)
        others = [entry for entry in new if entry.user_id != self.town.mattermost.user(YOU).id]
        if not others:
            return
        self.screen.out.write(CLEAR_LINE)
        for entry in others:
            self._show(entry)
        self._prompt()

    def _show(self, entry: LedgerEntry) -> None:
        post: Post = self.town.mattermost.site.world.posts[entry.post_id]
        Transcript(self.screen, self.town.name_of).show_post(post, f"[{self.threads.number(post)}]")


@asynccontextmanager
async def typed_lines() -> AsyncIterator[asyncio.Queue[str | None]]:
    """Lines from standard input as they are typed; None at its end.

    Read as the terminal hands them out: a pipe transport would make the terminal non-blocking, for our output too.
    """
    lines: asyncio.Queue[str | None] = asyncio.Queue()
    loop, source, rest = asyncio.get_running_loop(), sys.stdin.fileno(), bytearray()

    def read() -> None:
        data = _read(source)
        if not data:
            loop.remove_reader(source)
            lines.put_nowait(None)
        rest.extend(data)
        *whole, last = rest.split(b"\n")
        rest[:] = last
        for line in whole:
            lines.put_nowait(line.decode(errors="replace"))

    loop.add_reader(source, read)
    try:
        yield lines
    finally:
        loop.remove_reader(source)


def _read(source: int) -> bytes:
    """b"" at the end; a terminal that is gone says so with an error."""
    try:
        return os.read(source, 65536)
    except OSError:
        return b""

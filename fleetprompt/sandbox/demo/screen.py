"""What the demo shows: steps with their seconds, sentences, verdicts. Colours and a running clock on a terminal only."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import textwrap
import time
from collections.abc import AsyncIterator
from typing import Final, TextIO

WIDTHS: Final = (72, 100)
CLOCK_S: Final = 0.1
# What moves a terminal's cursor or turns its text round; what people type is shown too.
CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
BOLD, DIM, RED, GREEN, CYAN = "1", "2", "31", "32", "36"


class Screen:
    """Writes to one stream, at most 100 columns wide."""

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self.is_terminal = out.isatty()
        self.has_colours = self.is_terminal and "NO_COLOR" not in os.environ
        columns = shutil.get_terminal_size((WIDTHS[1], 24)).columns if self.is_terminal else WIDTHS[1]
        self.width = max(WIDTHS[0], min(WIDTHS[1], columns - 1))

    def styled(self, text: str, *codes: str) -> str:
        """The text in a style, where there are styles."""
        return f"\x1b[{';'.join(codes)}m{text}\x1b[0m" if self.has_colours and codes else text

    def write(self, text: str = "") -> None:
        """A line as it is."""
        self.out.write(f"{text}\n")
        self.out.flush()

    def heading(self, text: str) -> None:
        """The title of a part."""
        self.write()
        self.write(self.styled(text, BOLD))

    def say(self, text: str, indent: str = "  ", first: str | None = None, style: str = "") -> None:
        """A paragraph, wrapped. first: the indent of its first line."""
        start = indent if first is None else first
        lines = wrapped(text, self.width - len(indent)) or [""]
        for number, line in enumerate(lines):
            self.write((indent if number else start) + self.styled(line, *filter(None, [style])))

    def verdict(self, is_good: bool, text: str) -> None:
        """A checked claim."""
        mark = self.styled("ok", GREEN) if is_good else self.styled("WRONG", RED, BOLD)
        self.write(f"  {text:<{self.width - 9}} {mark}")

    @contextlib.asynccontextmanager
    async def step(self, doing: str, done: str = "", began: float | None = None) -> AsyncIterator[None]:
        """Something that takes a while; on a terminal its seconds run, elsewhere the line comes when it is over.

        began: by the monotonic clock, if earlier than now.
        """
        began = time.monotonic() if began is None else began
        clock = asyncio.create_task(self._run_clock(doing, began)) if self.is_terminal else None
        words = f"{doing}: broken off"
        try:
            yield
            words = done or doing
        finally:
            if clock is not None:
                clock.cancel()
                await asyncio.wait([clock])
                self.out.write("\r\x1b[K")
            self._timed(words, time.monotonic() - began)

    def _timed(self, words: str, seconds: float) -> None:
        self.write(f"  {words:<{self.width - 11}} {seconds:5.1f} s")

    async def _run_clock(self, doing: str, began: float) -> None:
        while True:
            seconds = time.monotonic() - began
            self.out.write(f"\r\x1b[K  {f'{doing} ...':<{self.width - 11}} {seconds:5.1f} s")
            self.out.flush()
            await asyncio.sleep(CLOCK_S)


def wrapped(text: str, width: int) -> list[str]:
    """The lines of a text, each at most `width` wide; list items hang."""
    lines: list[str] = []
    for line in CONTROLS.sub("\ufffd", text).split("\n"):
        hang = "  " if line.startswith("- ") else ""
        lines += textwrap.wrap(line, width, subsequent_indent=hang, break_on_hyphens=False) or [""]
    return lines

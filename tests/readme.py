"""The README as tests run it: its shell blocks, through a real shell, in a folder of their own."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.command_line import CommandLine, Said

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PATIENCE_S = 120.0


def section(title: str) -> str:
    """What stands below a heading."""
    return README.split(f"\n## {title}", 1)[1].split("\n## ", 1)[0]


def blocks(title: str) -> list[str]:
    """The shell blocks of a section, in order."""
    return re.findall(r"^```\n(.*?)^```$", section(title), re.MULTILINE | re.DOTALL)


def spans() -> Iterator[str]:
    """Each command that stands within a line."""
    for span in re.findall(r"`(fleetprompt [^`]+)`", README):
        yield re.sub(r"\s+", " ", span)


@dataclass(frozen=True, slots=True)
class Shell:
    """A terminal in `folder`. instead: what stands in the README for what differs on each machine -> what it is here."""

    folder: Path
    run: CommandLine
    instead: Mapping[str, str]

    @classmethod
    def opened(cls, folder: Path, run: CommandLine, instead: Mapping[str, str]) -> Shell:
        """`.venv` is there, as after `make`."""
        (folder / ".venv").symlink_to(sys.prefix)
        return cls(folder, run, instead)

    async def type(self, text: str) -> Said:
        """Run a block as it stands; it ends at the first line that fails."""
        for documented, real in self.instead.items():
            text = text.replace(documented, real)
        path = f"{self.folder}/.venv/bin:{self.run.environment()['PATH']}"
        pipe = asyncio.subprocess.PIPE
        shell = await asyncio.create_subprocess_exec(
            "bash", "-euo", "pipefail", "-c", text,
            stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe, cwd=self.folder,
            env=self.run.environment(PATH=path),
        )  # fmt: skip
        out, err = await asyncio.wait_for(shell.communicate(), PATIENCE_S)
        return Said(shell.returncode or 0, out.decode(), err.decode())

    async def ok(self, text: str) -> Said:
        """Run one that has to succeed."""
        said = await self.type(text)
        assert said.code == 0, (text, said)
        return said

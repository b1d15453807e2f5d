"""What is wrong with a manifest, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fleetprompt.kernel.errors import FleetPromptError


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. line: counted from 1; path: as `permissions[0].scope`, empty for the file itself."""

    file: str
    line: int
    path: str
    problem: str
    advice: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}: {self.path + ': ' if self.path else ''}"
        return f"{where}{self.problem} {self.advice}".rstrip()


class ManifestRefused(FleetPromptError):
    """A manifest that cannot be used. faults: all of them that could be found, by line."""

    code = "manifest"

    def __init__(self, faults: Sequence[Fault]) -> None:
        assert faults
        self.faults = tuple(sorted(faults, key=lambda fault: fault.line))
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        super().__init__(f"{self.faults[0]}{more}", "See all: fleetprompt package lint FILE")

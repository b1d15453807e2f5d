"""Installers: what a package needs, and how its far side is tried. Connectors fill the registry at start."""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from fleetprompt.kernel.errors import FleetPromptError, NotFound
from fleetprompt.kernel.secret import Secret

FAILURES = ("auth", "network", "config", "conflict", "platform")
"""Row 87: refused credential, no way there, wrong settings, taken by another installation, our own fault."""


class ProbeFailed(FleetPromptError):
    """The far side could not be used with these settings. passing: it may work a little later."""

    def __init__(self, kind: str, what: str, advice: str, *, passing: bool = False) -> None:
        assert kind in FAILURES, kind
        super().__init__(what, advice)
        self.code = kind
        self.passing = passing


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a set-up test."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a live try found. account: JSON without secrets, with `key`, which is the same for one account everywhere.

    now_ms: the far side's clock, unix ms.
    """

    account: dict[str, Any]
    key: str
    now_ms: int


@dataclass(frozen=True, slots=True)
class Installer:
    """One package that can be installed."""

    package: str
    version: str
    about: str
    config: type[BaseModel]
    secrets: tuple[str, ...]
    probe: Callable[[Mapping[str, Any], Mapping[str, Secret]], Awaitable[Probe]]
    """Raises ProbeFailed."""
    check: Callable[[Mapping[str, Any], Mapping[str, Secret]], Awaitable[Sequence[Line]]]
    """The set-up test; never raises for a refusal."""
    optional_secrets: tuple[str, ...] = ()
    listens: bool = True
    since_ms: Callable[[Mapping[str, Any]], int | None] = lambda _: None
    """From when on a first install reads, if the settings say so (unix ms); otherwise from its own moment."""


@dataclass(slots=True)
class Installers:
    """Those of one process."""

    by_package: dict[str, Installer] = field(default_factory=dict)

    def add(self, installer: Installer) -> None:
        """Make a package installable."""
        assert installer.package not in self.by_package, installer.package
        self.by_package[installer.package] = installer

    def find(self, package: str) -> Installer:
        """Raises NotFound, naming the nearest."""
        if package not in self.by_package:
            raise NotFound(f"There is no package {package!r}.", nearest(package, self.by_package))
        return self.by_package[package]


def nearest(word: str, known: Collection[str]) -> str:
    """Advice for a misspelt name."""
    close = difflib.get_close_matches(word, sorted(known), n=3, cutoff=0.5)
    listed = ", ".join(close or sorted(known))
    return f"Did you mean: {listed}?" if close else f"There is: {listed or 'none'}."

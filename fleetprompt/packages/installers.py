"""Installers: what a package needs, and how its far side is tried. Connectors fill the registry at start."""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict

from fleetprompt.kernel import clock
from fleetprompt.kernel.errors import FleetPromptError
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
    """One package that can be installed. listens: it has a far side, of which a listener reads."""

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
    called_at: tuple[str, ...] = ()
    """Paths under which the far side may call us, with `{installation}`."""
    sent_to: tuple[str, ...] = ()
    """Settings that say to whom the secrets are sent: whoever changes them has to have the secrets."""
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
        """Of what is installed: its connector's, or that of a package that has no far side."""
        return self.by_package.get(package) or without_far_side(package)


class AnySettings(BaseModel):
    """Settings that the manifest's own schema alone checks."""

    model_config = ConfigDict(extra="allow")


async def _here(config: Mapping[str, Any], secrets: Mapping[str, Secret]) -> Probe:
    return Probe({}, "", int(clock.now().timestamp() * 1000))


async def _nothing_to_check(config: Mapping[str, Any], secrets: Mapping[str, Secret]) -> Sequence[Line]:
    return ()


def without_far_side(package: str, version: str = "", config: type[BaseModel] = AnySettings) -> Installer:
    """Of a package that only provides agents, skills and workflows: there is nobody to ask, and nothing to listen to."""
    about = "Provides agents, skills and workflows."
    return Installer(package, version, about, config, (), _here, _nothing_to_check, listens=False)


def nearest(word: str, known: Collection[str]) -> str:
    """Advice for a misspelt name."""
    close = difflib.get_close_matches(word, sorted(known), n=3, cutoff=0.5)
    listed = ", ".join(close or sorted(known))
    return f"Did you mean: {listed}?" if close else f"There is: {listed or 'none'}."

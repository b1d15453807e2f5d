"""The manifest: one strict model of everything that a package says of itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fleetprompt.packages.manifest.asks import (
    CredentialNeed,
    Health,
    Permission,
    QuotaLimits,
    Uninstall,
    ValueEvent,
)
from fleetprompt.packages.manifest.configuration import Config
from fleetprompt.packages.manifest.names import (
    ConnectorKey,
    DirectiveName,
    Line,
    Part,
    Prose,
    Range,
    SemVer,
    SignalName,
    SignalPattern,
    Slug,
)
from fleetprompt.packages.manifest.provides import Provides

Kind = Literal["connector", "agent", "skills", "workflow"]
Category = Literal["chat", "mail", "integration", "support", "operations", "productivity"]


class Signals(Part):
    """consumed: names or patterns that it reacts to; emitted: the facts that it tells."""

    consumed: tuple[SignalPattern, ...] = ()
    emitted: tuple[SignalName, ...] = ()


class Requirement(Part):
    """Another package that has to be installed. reason: why, for the person who consents."""

    package: Slug
    version: Range
    reason: Line


class Manifest(Part):
    """One version of one package. platform: the versions of FleetPrompt that it works with."""

    slug: Slug
    version: SemVer
    name: Line
    author: Line
    category: Category
    kind: Kind
    summary: Line
    description: Prose
    platform: Range
    binds: ConnectorKey | None = None
    provides: Provides
    requires: tuple[Requirement, ...] = ()
    signals: Signals
    directives: tuple[DirectiveName, ...] = ()
    permissions: tuple[Permission, ...] = ()
    config: Config
    credentials: tuple[CredentialNeed, ...] = ()
    limits: QuotaLimits
    health: Health
    uninstall: Uninstall
    value: Annotated[tuple[ValueEvent, ...], Field(max_length=20)] = ()

    @property
    def label(self) -> str:
        """`mattermost 1.0.0`."""
        return f"{self.slug} {self.version}"

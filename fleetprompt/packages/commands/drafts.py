"""From what somebody wishes to what would be done: a draft is made anew when it is confirmed, and has to be the same.

A wish is JSON, so that it can be kept: verb, package, version, name, settings, scopes, revoked, chat_id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.kernel.json import canonical
from fleetprompt.model import Installation
from fleetprompt.packages.commands.grammar import Command
from fleetprompt.packages.house import House

Wish = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Draft:
    """What a person would be shown. steps: in order, each with all that carrying it out takes.

    basis: what else it depends on, such as the digests of manifests and the generations of installations. lines:
    Markdown. needs_consent: nothing is done before somebody confirms it.
    """

    title: str
    steps: Sequence[dict[str, Any]]
    lines: Sequence[str] = ()
    basis: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Names everything that was shown, and what it was made from."""
        shown = {"title": self.title, "steps": list(self.steps), "lines": list(self.lines)}
        return hashlib.sha256(canonical({**shown, "basis": dict(self.basis)}).encode()).hexdigest()


Drafter = Callable[[House, TenantSlug, Wish], Awaitable[Draft]]


def wish_of(command: Command, chat_id: UUID) -> dict[str, Any]:
    """What is kept of a command until it is confirmed. chat_id: of the installation that it came by."""
    return {
        "verb": command.verb,
        "package": command.package,
        "version": command.version,
        "name": command.name,
        "settings": dict(command.settings),
        "scopes": list(command.scopes),
        "revoked": list(command.revoked),
        "chat_id": str(chat_id),
    }


def spoken(wish: Wish) -> str:
    """The wish as it was typed, for asking again."""
    version = f"@{wish['version']}" if wish["version"] else ""
    name = f"/{wish['name']}" if wish["name"] else ""
    settings = [
        f'{key}="{value}"' if " " in value else f"{key}={value}" for key, value in wish["settings"].items()
    ]
    scopes = [*(f"+{scope}" for scope in wish["scopes"]), *(f"-{scope}" for scope in wish["revoked"])]
    return " ".join([wish["verb"], f"{wish['package']}{version}{name}", *settings, *scopes])


def as_it_is(installation: Installation) -> dict[str, Any]:
    """What of an installation a plan depends on."""
    return {
        "id": str(installation.id),
        "version": installation.version,
        "digest": installation.package_digest,
        "state": str(installation.state),
        "generation": installation.generation,
    }

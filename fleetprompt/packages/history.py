"""What happened to installations, for an audit: who asked for what, when, by which plan, step by step, and how it ended."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import or_, select

from fleetprompt.kernel.errors import NotFound
from fleetprompt.model import Directive, Installation, Signal
from fleetprompt.packages.installers import nearest
from fleetprompt.tenancy import TenantSession

PLAN: Final = ("version", "to", "to_digest", "changed", "wider", "grant", "revoke", "config", "generation")
"""Of a directive's arguments. Settings are no secrets, and no argument holds one."""
OWN: Final = ("installation_id", "package", "name", "version", "generation", "directive_id", "summary")


@dataclass(frozen=True, slots=True)
class Happened:
    """One signal. detail: what it says beside what all of them say."""

    at: datetime
    what: str
    who: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was asked for, or that came by itself (directive_id None: what waits, what the house did)."""

    installation_id: UUID
    package: str
    name: str
    what: str
    asked_by: str
    asked_at: datetime
    steps: Sequence[Happened]
    state: str | None = None
    directive_id: UUID | None = None
    plan: Mapping[str, Any] = field(default_factory=dict)
    approved_by: str | None = None
    error_code: str | None = None
    error: str | None = None
    ended_at: datetime | None = None


async def audit(session: TenantSession, key: str = "", *, limit: int = 100) -> list[Entry]:
    """The newest entries, oldest first. key: a directive's or an installation's id, or a package; empty = all.

    Raises NotFound, naming the nearest package.
    """
    installations = {one.id: one for one in await session.scalars(select(Installation))}
    wanted, only = _chosen(installations, key)
    of_them = Directive.installation_id.in_(wanted), Directive.name.like("package.%")
    query = select(Directive).where(*of_them).order_by(Directive.id.desc()).limit(limit)
    if only is not None:
        query = query.where(Directive.id == only)
    directives = list(await session.scalars(query))
    if only is not None and not directives:
        raise NotFound(f"Nothing about packages bears the id {only}.", "See: fleetprompt package audit")
    signals = await _signals(session, wanted, [one.id for one in directives], limit)
    entries = [_entry(one, installations, signals) for one in directives]
    if only is None:
        known = {one.id for one in directives}
        loose = [one for one in signals if one.causation_id not in known and one.name.startswith("package.")]
        entries += [_alone(one, installations) for one in loose]
    return sorted(entries, key=lambda one: one.asked_at)[-limit:]


def _chosen(installations: Mapping[UUID, Installation], key: str) -> tuple[Collection[UUID], UUID | None]:
    """Which installations, and which directive alone."""
    if not key:
        return list(installations), None
    try:
        found = UUID(key)
    except ValueError:
        named = [one.id for one in installations.values() if one.package == key]
        if not named:
            packages = {one.package for one in installations.values()}
            raise NotFound(f"{key[:60]!r} was never installed here.", nearest(key, packages)) from None
        return named, None
    return ([found], None) if found in installations else (list(installations), found)


async def _signals(
    session: TenantSession, installations: Collection[UUID], directives: Collection[UUID], limit: int
) -> list[Signal]:
    """Of these directives, and those of the packages' own that no directive caused."""
    own = Signal.name.like("package.%") & Signal.installation_id.in_(installations)
    query = select(Signal).where(or_(Signal.causation_id.in_(directives), own))
    found = await session.scalars(query.order_by(Signal.id.desc()).limit(20 * limit))
    return sorted(found, key=lambda one: one.id)


def _entry(
    directive: Directive, installations: Mapping[UUID, Installation], signals: Sequence[Signal]
) -> Entry:
    assert directive.installation_id is not None
    installation, given = installations[directive.installation_id], directive.arguments
    return Entry(
        installation.id,
        installation.package,
        installation.name,
        directive.name.removeprefix("package."),
        _who(directive.actor_kind, directive.actor_id, directive.actor_name),
        directive.created_at,
        [_happened(one) for one in signals if one.causation_id == directive.id],
        directive.state,
        directive.id,
        {name: given[name] for name in PLAN if given.get(name)},
        directive.approved_by,
        directive.error_code,
        directive.error,
        directive.finished_at,
    )


def _alone(signal: Signal, installations: Mapping[UUID, Installation]) -> Entry:
    assert signal.installation_id is not None
    installation, step = installations[signal.installation_id], _happened(signal)
    what = signal.name.removeprefix("package.")
    return Entry(installation.id, installation.package, installation.name, what, step.who, step.at, [step])


def _happened(signal: Signal) -> Happened:
    who = _who(signal.actor_kind, signal.actor_id, signal.actor_name)
    detail = {name: value for name, value in signal.payload.items() if name not in OWN and value}
    return Happened(signal.created_at, signal.name, who, detail)


def _who(kind: str, id_: str, name: str) -> str:
    return f"{name} ({kind} {id_})" if name else f"{kind} {id_}"

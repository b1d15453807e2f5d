"""What an operator sees of installations: their state, their health, and a set-up test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update

from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import Directive, Installation, InstallationHealth
from fleetprompt.model.states import DirectiveState
from fleetprompt.packages import directory
from fleetprompt.packages.blocking import why_blocked
from fleetprompt.packages.failures import remedy
from fleetprompt.packages.find import find_installation, live_installations
from fleetprompt.packages.grants import granted
from fleetprompt.packages.house import House
from fleetprompt.packages.installers import Line
from fleetprompt.packages.missing import remedy_of
from fleetprompt.packages.provision import provided_lines
from fleetprompt.packages.published import find_version, revocations, versions_of
from fleetprompt.packages.resume import MENDED
from fleetprompt.packages.watching import Worth, is_stale, manifest_of, worth
from fleetprompt.tenancy import TenantSession

STUCK = (DirectiveState.FAILED, DirectiveState.OUTCOME_UNKNOWN)
WAITING = (DirectiveState.REQUESTED, DirectiveState.RUNNING, DirectiveState.AWAITING_APPROVAL)
ERROR = "error"

FROM_HEALTH = (
    "since",
    "last_event_at",
    "backlog",
    "last_error",
    "last_error_code",
    "last_error_at",
    "remedy",
    "blocked_until",
)


@dataclass(frozen=True, slots=True)
class Status:
    """One installation. is_listened_to: a listener holds it now; listens: it has a far side; waiting, stuck: its directives.

    stale: without a connection for longer than its manifest allows. addresses: where its far side may call us.
    """

    installation_id: UUID
    package: str
    name: str
    version: str
    state: str
    error: str | None
    account: str
    server_version: str
    config: dict[str, Any]
    generation: int
    is_listened_to: bool
    waiting: int
    stuck: int
    error_code: str | None = None
    missing: list[str] = field(default_factory=list)
    blocked: str | None = None
    connection: str | None = None
    since: datetime | None = None
    last_event_at: datetime | None = None
    backlog: int = 0
    last_error: str | None = None
    last_error_code: str | None = None
    last_error_at: datetime | None = None
    remedy: str | None = None
    blocked_until: datetime | None = None
    grants: list[str] = field(default_factory=list)
    value: list[Worth] = field(default_factory=list)
    stale: bool = False
    addresses: list[str] = field(default_factory=list)
    listens: bool = True


async def status(house: House, tenant: TenantSlug, package: str | None = None) -> list[Status]:
    """All live installations of a tenant, or those of one package. Raises NotFound for a package that is none."""
    if package is not None:
        await versions_of(house.tenancy.database, package)
    async with house.tenancy.session(tenant) as session:
        found = [
            (
                installation,
                await session.get(InstallationHealth, installation.id),
                await _count(session, installation, WAITING),
                await _count(session, installation, STUCK),
                [grant.scope for grant in await granted(session, installation.id)],
            )
            for installation in await live_installations(session, package)
        ]
    revoked = await revocations(house.tenancy.database)
    told = [(item, _with_revocation(await _status(house, *item), revoked)) for item in found]
    return [await _watched(house, tenant, item[0], item[1], one) for item, one in told]


async def _watched(
    house: House,
    tenant: TenantSlug,
    installation: Installation,
    health: InstallationHealth | None,
    one: Status,
) -> Status:
    """With what its manifest says to look at."""
    manifest = await manifest_of(house, installation)
    if manifest is None:
        return one
    async with house.tenancy.session(tenant) as session:
        value = list(await worth(session, installation, manifest))
    stale = is_stale(installation, health, manifest, is_held=one.is_listened_to)
    return replace(one, value=value, stale=stale)


def _with_revocation(one: Status, revoked: Mapping[tuple[str, str], str]) -> Status:
    reason = revoked.get((one.package, one.version))
    if reason is None:
        return one
    what, advice = why_blocked(one.package, one.version, reason)
    return replace(one, error=what, error_code="conflict", blocked=reason, remedy=advice)


async def _count(session: TenantSession, installation: Installation, states: Sequence[DirectiveState]) -> int:
    query = select(func.count()).where(
        Directive.installation_id == installation.id, Directive.state.in_(states)
    )
    return int(await session.scalar(query) or 0)


async def _status(
    house: House,
    installation: Installation,
    health: InstallationHealth | None,
    waiting: int,
    stuck: int,
    grants: list[str],
) -> Status:
    held = await directory.is_listened_to(house.tenancy.database, installation.id)
    known = {} if health is None else _known(health)
    installer, base = house.installers.find(installation.package), house.settings.public_address
    known |= {"grants": grants, "listens": installer.listens}
    known["addresses"] = [base + path.format(installation=installation.id) for path in installer.called_at]
    if installation.error_code is not None and not known.get("remedy"):
        known["remedy"] = _remedy(installation)
    return Status(
        installation.id,
        installation.package,
        installation.name,
        installation.version,
        installation.state,
        installation.error,
        str(installation.account.get("name", "")),
        str(installation.account.get("server_version", "")),
        installation.config,
        installation.generation,
        held,
        waiting,
        stuck,
        installation.error_code,
        list(installation.missing),
        installation.blocked,
        **known,
    )


def _known(health: InstallationHealth) -> dict[str, Any]:
    """What a person has to mend before it can send counts for more than that it receives."""
    known = {name: getattr(health, name) for name in FROM_HEALTH} | {"connection": health.state}
    if health.sending_error_code is None:
        return known
    return known | {
        "connection": ERROR,
        "last_error": health.sending_error,
        "last_error_code": health.sending_error_code,
        "last_error_at": health.sending_error_at,
        "remedy": health.sending_remedy,
    }


def _remedy(installation: Installation) -> str:
    if installation.missing:
        return remedy_of(installation.package, installation.missing)
    return remedy(installation.error_code, installation.package)


async def check_installation(
    house: House, tenant: TenantSlug, package: str, *, name: str = ""
) -> Sequence[Line]:
    """Try an installation's settings live, and look whether what it provides is there.

    Changes nothing, but for one thing: where all that is tried works, nobody has to mend its sending any more.
    """
    installer = house.installers.find(package)
    await house.vault.key_of(tenant)
    async with house.tenancy.session(tenant) as session:
        installation = await find_installation(session, package, name)
        secrets = await house.vault.read_all(session, installation.id)
    found = await find_version(house.tenancy.database, installation.package, installation.version)
    async with house.tenancy.session(tenant) as session:
        provided = await provided_lines(session, house.registry, installation, found.verified())
    lines = [Line(name, ok, detail, "" if ok else remedy) for name, ok, detail, remedy in provided]
    tried = await installer.check(installation.config, secrets)
    if tried and all(line.ok for line in tried):
        await _note_mended(house, tenant, installation.id)
    return [*tried, *lines]


async def _note_mended(house: House, tenant: TenantSlug, installation_id: UUID) -> None:
    faulty = InstallationHealth.sending_error_code.is_not(None)
    mended = update(InstallationHealth).where(InstallationHealth.installation_id == installation_id, faulty)
    async with house.tenancy.session(tenant) as session:
        await session.execute(mended.values(MENDED))

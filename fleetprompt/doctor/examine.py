"""All checks in order; what cannot be looked at because something before it failed is left out."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fleetprompt.composition import COMMAND, House, open_house
from fleetprompt.database.engine import is_away
from fleetprompt.doctor import database, people, pressure, transport, work
from fleetprompt.doctor.finding import Finding, Level, fail
from fleetprompt.doctor.machine import check_machine, key_is_missing
from fleetprompt.kernel.errors import FleetPromptError
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import Organization
from fleetprompt.model.states import OrganizationState
from fleetprompt.settings import Settings
from fleetprompt.tenancy.organizations import find_organization, list_organizations

START_IT = "Start Postgres, or mend FLEETPROMPT_DATABASE_URL."


async def examine(
    settings: Settings, *, org: TenantSlug | None = None, mend: bool = False
) -> AsyncIterator[Finding]:
    """Every finding as it is made. org: of this organization alone. Raises NotFound for one that is not there."""
    can_build = not key_is_missing(settings)
    for finding in check_machine(settings):
        can_build &= finding.level is not Level.FAIL or finding.check == "disk"
        yield finding
    try:
        async with open_house(settings, role=COMMAND, migrate=False) as house:
            async for finding in _in_house(house, org, mend=mend, can_build=can_build):
                yield finding
    except FleetPromptError as error:
        if error.code == "not_found":
            raise
        yield fail("database", error.what, error.advice or START_IT)
    except Exception as error:
        if not is_away(error):
            raise
        yield fail("database", "Postgres does not answer.", START_IT)


async def _in_house(
    house: House, org: TenantSlug | None, *, mend: bool, can_build: bool
) -> AsyncIterator[Finding]:
    """can_build: key and model are usable, so that installations can be looked at."""
    yield await database.check_server(house)
    registry = await database.check_registry(house)
    yield registry
    if registry.level is Level.FAIL:
        return
    mend = mend and registry.level is Level.OK  # a newer program's database is that one's to mend
    for finding in await database.check_orphans(house, None if org is None else {org}, mend=mend):
        yield finding
    organizations = await _organizations(house, org)
    for finding in (*database.check_tenants(organizations), *await database.check_keys(house, organizations)):
        yield finding
    yield await work.check_workers(house)
    yield await transport.check_broker(house)
    for finding in await transport.check_kinds(house, None if org is None else {org}):
        yield finding
    for one in organizations:
        if one.state == OrganizationState.ACTIVE:
            async for finding in _of_tenant(house, TenantSlug(one.slug), can_build=can_build):
                yield finding


async def _organizations(house: House, org: TenantSlug | None) -> list[Organization]:
    if org is None:
        return await list_organizations(house.database)
    return [await find_organization(house.database, org)]


async def _of_tenant(house: House, org: TenantSlug, *, can_build: bool) -> AsyncIterator[Finding]:
    checks = [people.check_people, work.check_jobs, pressure.check_messages, work.check_directives]
    for check in (*checks, work.check_installations) if can_build else checks:
        for finding in await check(house, org):
            yield finding

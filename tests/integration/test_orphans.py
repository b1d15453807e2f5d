"""What the doctor finds wrong with tenants, and what it mends without deleting anything."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from fleetprompt.database import scripts
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.tenancy.organizations import create_organization, find_organization, record_failure
from fleetprompt.tenancy.orphans import Kind, find_orphans, mend
from tests import programs
from tests.house import GLOBEX, House, fresh_house
from tests.killing import dies

NEW = TenantSlug("newcomer")
LONE = TenantSlug(f"lone_{uuid4().hex}")
"""Roles belong to the whole server, so what is done to this one's is nobody else's trouble."""
MARK = (
    "insert into conversations (id, installation_id, channel_id, thread_id, channel_kind, channel_name)"
    " values (gen_random_uuid(), gen_random_uuid(), 'kept', '', '', '')"
)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with fresh_house() as made:
        await create_organization(made.database, LONE)
        await made.tenant_rows(LONE, MARK)
        yield made


async def found(house: House) -> list[tuple[Kind, TenantSlug]]:
    return [(finding.kind, finding.slug) for finding in await find_orphans(house.database)]


async def mends_all(house: House) -> bool:
    """Whether mending reports no error, leaves nothing to find, and lost nothing of the tenant's."""
    errors = [mended.error for mended in await mend(house.database)]
    left = await found(house)
    kept = await house.tenant_rows(LONE, "select channel_id from conversations")
    return (set(errors), left, [row[0] for row in kept]) == ({None}, [], ["kept"])


async def disown(house: House, slug: TenantSlug) -> None:
    """As after `pg_restore --no-owner`: all belongs to the service's own role."""
    me = await house.value("select quote_ident(current_user)")
    tables = await house.rows("select tablename::text from pg_tables where schemaname = 'org_' || $1", slug)
    await house.rows(f"grant r_org_{slug} to {me} with inherit true, set true")
    for row in tables:
        await house.rows(f'alter table org_{slug}."{row[0]}" owner to {me}')
    await house.rows(f"alter schema org_{slug} owner to {me}")
    await house.rows(f"grant r_org_{slug} to {me} with inherit false, set true")


async def test_a_sound_house_has_no_findings(house: House) -> None:
    assert await found(house) == []
    assert await mend(house.database) == []


async def test_a_schema_without_organization_is_adopted_with_its_data(house: House) -> None:
    await house.rows("delete from public.organizations where slug = $1", LONE)
    assert await found(house) == [(Kind.ORPHAN_SCHEMA, LONE)]
    assert await mends_all(house)
    organization = await find_organization(house.database, LONE)
    assert (organization.name, organization.state) == (LONE, "active")


async def test_an_empty_schema_without_organization_is_dropped(house: House) -> None:
    await house.rows("create schema org_newcomer")
    assert await found(house) == [(Kind.EMPTY_SCHEMA, NEW)]
    assert await mends_all(house)
    assert await house.value("select to_regnamespace('org_newcomer')") is None


async def test_a_schema_of_another_program_is_named_and_left_alone(house: House) -> None:
    await house.rows("create schema org_chart")
    await house.rows("create table org_chart.boxes as select 1 as box")
    assert await found(house) == [(Kind.FOREIGN_SCHEMA, TenantSlug("chart"))]
    assert await mend(house.database) == []
    assert await house.value("select box from org_chart.boxes") == 1


async def test_a_schema_with_a_mere_function_is_not_empty(house: House) -> None:
    await house.rows("create schema org_chart")
    await house.rows("create function org_chart.one() returns int language sql as 'select 1'")
    assert await found(house) == [(Kind.FOREIGN_SCHEMA, TenantSlug("chart"))]


@pytest.mark.parametrize("name", ["org", "org_", "org_Acme", "org-acme", "organ_acme", "org_" + "a" * 41])
async def test_schemas_of_other_names_are_none_of_ours(house: House, name: str) -> None:
    await house.rows(f'create schema "{name}"')
    assert await found(house) == []


@pytest.mark.parametrize("state", ["active", "suspended"])
async def test_a_lost_schema_is_not_replaced_by_an_empty_one(house: House, state: str) -> None:
    await house.rows(
        "update public.organizations set state = $1 where slug = 'globex' and state <> $1", state
    )
    await house.tenant_rows(GLOBEX, "drop schema org_globex cascade")
    [finding] = await find_orphans(house.database)
    assert (finding.kind, finding.slug, finding.is_mendable) == (Kind.MISSING_SCHEMA, GLOBEX, False)
    assert "Restore the schema from a backup" in finding.remedy
    assert await mend(house.database) == []
    assert await house.value("select to_regnamespace('org_globex')") is None


@pytest.mark.parametrize("fault", ["organization.row_made", "organization.schema_made"])
async def test_a_creation_that_was_killed_is_found_and_finished(house: House, fault: str) -> None:
    await dies(programs.create, house.url, NEW, fault=fault)
    [finding] = await find_orphans(house.database)
    assert (finding.kind, finding.slug) == (Kind.UNFINISHED, NEW)
    assert finding.sentence == "Organization 'newcomer' is creating: its creation was interrupted."
    assert await mends_all(house)
    assert (await find_organization(house.database, NEW)).state == "active"


async def test_a_creation_that_failed_is_found_with_its_error_and_finished(house: House) -> None:
    await dies(programs.create, house.url, NEW, fault="organization.row_made")
    await record_failure(house.database, NEW, ValueError("the disk is full"))
    [finding] = await find_orphans(house.database)
    assert finding.sentence == "Organization 'newcomer' is failed: the disk is full."
    assert await mends_all(house)


async def test_a_missing_grant_is_made_again(house: House) -> None:
    me = await house.value("select quote_ident(current_user)")
    await house.rows(f"revoke r_org_{LONE} from {me}")
    assert await found(house) == [(Kind.MISSING_ROLE, LONE)]
    assert await mends_all(house)


async def test_a_restore_without_owners_is_given_back_to_the_tenant(house: House) -> None:
    await disown(house, LONE)
    assert await found(house) == [(Kind.FOREIGN_OWNER, LONE)]
    assert await mends_all(house)
    async with house.tenancy.session(GLOBEX):
        pass


async def test_a_restore_of_one_schema_alone_is_adopted(house: House) -> None:
    await disown(house, LONE)
    await house.rows("delete from public.organizations where slug = $1", LONE)
    assert await found(house) == [(Kind.ORPHAN_SCHEMA, LONE)]
    assert await mends_all(house)


async def test_a_row_that_says_another_revision_than_its_schema_is_put_right(house: House) -> None:
    await house.rows("update public.organizations set schema_revision = 'tenant_0000' where slug = $1", LONE)
    assert await found(house) == [(Kind.OTHER_REVISION, LONE)]
    assert await mends_all(house)
    assert (await find_organization(house.database, LONE)).schema_revision == scripts.head("tenant")


async def test_what_cannot_be_mended_says_why_and_stops_nothing_else(house: House) -> None:
    await house.rows("create schema org_newcomer authorization r_org_globex")
    await dies(programs.create, house.url, NEW, fault="organization.row_made")
    await house.rows("delete from public.organizations where slug = $1", LONE)
    outcomes = {mended.finding.slug: mended.error for mended in await mend(house.database)}
    assert outcomes[LONE] is None
    assert "permission denied" in (outcomes[NEW] or "")

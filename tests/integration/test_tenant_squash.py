"""A tenant that was made at once is the tenant that took every step: the same in all that Postgres says of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from fleetprompt.database import scripts
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.tenancy.roles import role_script, schema_script
from tests.house import ACME, House, fresh_house

STEPPED = TenantSlug("stepped")
OF_TABLE = "join pg_class as c on c.oid = {0} and c.relnamespace = to_regnamespace($1)"
LOOKS = {
    "schema": "select pg_get_userbyid(nspowner), nspacl::text, (select array_agg(d::text) from pg_default_acl as d"
    " where defaclnamespace = n.oid) from pg_namespace as n where nspname = $1",
    "relations": "select relname, relkind, relpersistence, relreplident, relrowsecurity, relispartition, reloptions,"
    " relacl::text, pg_get_userbyid(relowner), relam, reltablespace, relchecks, relhasindex, relhastriggers, relhasrules,"
    " (select t.reloptions is null from pg_class as t where t.oid = c.reltoastrelid)"
    " from pg_class as c where relnamespace = to_regnamespace($1) order by relkind, relname",
    "columns": "select relname, attnum, attname, format_type(atttypid, atttypmod), attnotnull, attstorage,"
    " attcompression, attcollation, attidentity, attgenerated, attoptions, attacl::text, attstattarget, attisdropped,"
    " pg_get_expr(adbin, adrelid) from pg_attribute as a " + OF_TABLE.format("attrelid") + " left join pg_attrdef"
    " on adrelid = attrelid and adnum = attnum order by relkind, relname, attnum",
    "constraints": "select relname, conname, contype, condeferrable, condeferred, convalidated, connoinherit,"
    " pg_get_constraintdef(o.oid) from pg_constraint as o " + OF_TABLE.format("conrelid") + " order by 1, 2",
    # Their order is that of Postgres' choice between two that are as good.
    "indexes": "select relname, pg_get_indexdef(indexrelid), indisprimary, indisunique, indisvalid, indisready,"
    " indisclustered, indisreplident, indnullsnotdistinct from pg_index " + OF_TABLE.format("indrelid")
    + " where relkind = 'r' order by relname, indexrelid",
    "triggers": "select relname, tgname, tgenabled, pg_get_triggerdef(g.oid) from pg_trigger as g "
    + OF_TABLE.format("tgrelid") + " where not tgisinternal order by 1, 2",
    # In the order in which they act: a row's end is told to one table after the other.
    "foreign keys": "select relname, tgfoid::regproc, tgenabled, conname from pg_trigger as g "
    + OF_TABLE.format("tgrelid") + " join pg_constraint as o on o.oid = tgconstraint where tgisinternal"
    " order by relname, g.oid",
    "functions": "select proname, pg_get_functiondef(oid), pg_get_userbyid(proowner), proacl::text, proconfig"
    " from pg_proc where pronamespace = to_regnamespace($1) order by 1",
    "types": "select typname, typtype from pg_type where typnamespace = to_regnamespace($1) order by 1",
    "comments": "select relname, objsubid, description from pg_description " + OF_TABLE.format("objoid"),
    "revision": "select schema_revision, state, schema_error from public.organizations where 'org_' || slug = $1",
}  # fmt: skip


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with fresh_house() as made:
        yield made


async def step_by_step(house: House, slug: TenantSlug) -> None:
    """As a tenant came here that was there from the first release on."""
    connection = await house.database.connect_raw()
    try:
        await connection.execute(role_script(slug) + schema_script(slug))
        await connection.execute(f"set role r_org_{slug}; set search_path to org_{slug}, pg_temp")
        start = None
        for revision in scripts.revisions("tenant"):
            await connection.execute(scripts.steps("tenant", start, revision))
            start = revision
        await connection.execute("reset role; reset search_path")
        await connection.execute(
            "insert into public.organizations (id, slug, name, limits, state, schema_revision)"
            " values (gen_random_uuid(), $1, $1, '{}', 'creating', $2)",
            slug,
            start,
        )
        await connection.execute("update public.organizations set state = 'active' where slug = $1", slug)
    finally:
        await connection.close()


async def looks(house: House, slug: TenantSlug) -> dict[str, list[tuple[Any, ...]]]:
    """All that the catalogue says, the tenant's own name apart."""
    return {
        name: [
            tuple(str(value).replace(f"org_{slug}", "org_x") for value in row)
            for row in await house.rows(sql, f"org_{slug}")
        ]
        for name, sql in LOOKS.items()
    }


async def rows(house: House, slug: TenantSlug) -> dict[str, list[str]]:
    """What stands in each table."""
    tables = await house.rows("select relname from pg_class where relkind = 'r'"
                              " and relnamespace = to_regnamespace($1)", f"org_{slug}")  # fmt: skip
    return {
        table: [str(row[0]) for row in await house.tenant_rows(slug, f'select t::text from "{table}" as t')]
        for (table,) in tables
    }


async def test_a_tenant_made_at_once_is_the_one_that_took_every_step(house: House) -> None:
    await step_by_step(house, STEPPED)
    made, stepped = await looks(house, ACME), await looks(house, STEPPED)
    for name in LOOKS:
        assert made[name] == stepped[name], name
    assert all(made[name] for name in LOOKS if name != "comments")
    assert await rows(house, ACME) == await rows(house, STEPPED)


async def test_a_difference_would_be_seen(house: House) -> None:
    before = await looks(house, ACME)
    for change, seen in CHANGES.items():
        await house.tenant_rows(ACME, change)
        after = await looks(house, ACME)
        assert {name for name in LOOKS if before[name] != after[name]} >= seen, change
        before = after


CHANGES = {
    "drop index signals_name": {"relations", "indexes"},
    "alter table signals set (fillfactor = 70)": {"relations"},
    "alter table signals alter column payload set storage main": {"columns"},
    "alter table agents alter column scopes drop default": {"columns"},
    "alter table agents alter column scopes drop not null": {"columns"},
    "alter table grants drop constraint grants_installation_id_fkey": {"constraints", "foreign keys"},
    "alter table signals disable trigger immutable": {"triggers"},
    "alter function plan_guard() set search_path to public": {"functions"},
    "comment on table signals is 'facts'": {"comments"},
    "revoke select on signals from r_org_acme": {"relations"},
}


async def test_what_is_made_at_once_needs_no_later_change() -> None:
    """So it stays cheap: a change that cannot be merged should be written so that it can, or taught to `squash`."""
    script = scripts.upgrade_script("tenant", None)
    assert "ALTER TABLE" not in script
    assert "UPDATE alembic_version" not in script
    assert len(script) < len(scripts.steps("tenant", None, "head"))

"""Consent: what is required and what is optional, what another version asks for beside it, what was there before."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from fleetprompt.kernel.errors import InvalidInput
from fleetprompt.packages import grants
from fleetprompt.packages.manifest import Manifest
from fleetprompt.tenancy.organizations import advance_schema
from tests.house import ACME, GLOBEX, House, fresh_house
from tests.manifests import manifest
from tests.provided import LOOK
from tests.stage import OPERATOR

MAIL = {**LOOK, "scope": "mail.messages", "access": "write", "required": True}
INSTALLED = (
    "insert into installations (id, package, version, name, state, config, account, start_at_ms, generation)"
    " values (gen_random_uuid(), $1, '1.0.0', '', $2, '{}', '{}', 0, 1) returning id"
)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with fresh_house() as opened:
        yield opened


def asking(*permissions: dict[str, object], version: str = "1.0.0") -> Manifest:
    return manifest("greeter", version, permissions=list(permissions))


async def installed(house: House, package: str = "greeter", state: str = "installed") -> UUID:
    [row] = await house.tenant_rows(ACME, INSTALLED, package, state)
    found: UUID = row["id"]
    return found


async def scopes(house: House, of: UUID) -> dict[str, bool]:
    """scope -> whether it is required."""
    async with house.tenancy.session(ACME) as session:
        return {one.scope: one.required for one in await grants.granted(session, of)}


async def consents(house: House, of: UUID, wanted: Manifest, *chosen: str) -> dict[str, bool]:
    async with house.tenancy.session(ACME) as session:
        await grants.consent(session, of, wanted, OPERATOR, chosen)
    return await scopes(house, of)


async def test_what_is_required_is_granted_and_what_is_optional_is_chosen(house: House) -> None:
    of = await installed(house)
    assert await consents(house, of, asking(MAIL, LOOK)) == {"mail.messages:write": True}
    both = {"mail.messages:write": True, "orders:read": False}
    assert await consents(house, of, asking(MAIL, LOOK), "orders:read") == both
    assert await consents(house, of, asking(MAIL, LOOK)) == both  # what was granted stays so
    with pytest.raises(InvalidInput, match=r"does not ask for 'orders:wrong'.*orders:read"):
        await consents(house, of, asking(MAIL, LOOK), "orders:wrong")
    assert await consents(house, of, asking({**LOOK, "required": True})) == {"orders:read": True}


async def test_only_what_is_optional_can_be_taken_back(house: House) -> None:
    of, wanted = await installed(house), asking(MAIL, LOOK)
    await consents(house, of, wanted, "orders:read")
    async with house.tenancy.session(ACME) as session:
        await grants.revoke(session, of, wanted, ["orders:read"])
        with pytest.raises(InvalidInput, match="cannot do without"):
            await grants.revoke(session, of, wanted, ["mail.messages:write"])
    assert await scopes(house, of) == {"mail.messages:write": True}


@pytest.mark.parametrize(
    ("before", "after", "added", "removed", "wider"),
    [
        ([LOOK], [LOOK, MAIL], ["mail.messages:write"], [], True),
        ([MAIL], [MAIL, LOOK], ["orders:read"], [], False),
        ([LOOK], [{**LOOK, "required": True}], ["orders:read"], [], True),
        ([{**LOOK, "required": True}], [LOOK], [], [], False),
        ([LOOK, MAIL], [MAIL], [], ["orders:read"], False),
        ([MAIL], [{**MAIL, "access": "read"}], ["mail.messages:read"], ["mail.messages:write"], True),
    ],
)
def test_another_version_is_wider_if_somebody_has_to_consent(
    before: list[dict[str, object]],
    after: list[dict[str, object]],
    added: list[str],
    removed: list[str],
    wider: bool,
) -> None:
    found = grants.compare_scopes(asking(*before), asking(*after, version="1.1.0"))
    assert [one.grant for one in found.added] == added
    assert [one.grant for one in found.removed] == removed
    assert found.wider == wider


async def test_what_was_installed_before_there_were_grants_keeps_all_that_it_has(house: House) -> None:
    of, gone = await installed(house, "proton-mail"), await installed(house, "mattermost", "uninstalled")
    unknown = await installed(house, "greeter")
    for _ in range(2):
        await grants.complete(house.tenancy, ACME)
    assert await scopes(house, of) == {
        "mail.messages:read": True,
        "mail.messages:write": True,
        "mail.attachments:read": True,
    }
    assert await scopes(house, gone) == await scopes(house, unknown) == {}
    assert await house.tenant_rows(GLOBEX, "select 1 from grants") == []


async def test_agents_of_before_may_go_on_using_their_tools(house: House) -> None:
    await house.tenant_rows(
        ACME,
        "insert into agents (id, name, purpose, instructions, tools, limits, policies, state) values"
        " (gen_random_uuid(), 'fleet', '', '', '{orders.list,orders.hold,orders.lookup}', '{}', '{}', 'active')",
    )
    connection = await house.database.connect_raw()
    try:
        await connection.execute(
            "set role r_org_acme; set search_path to org_acme;"
            "drop table grants; drop index agents_installation; drop index workflows_installation;"
            "alter table agents drop column scopes, drop column skills, drop column installation_id,"
            " drop column provisioned; update alembic_version set version_num = 'tenant_0009';"
            "reset role; update public.organizations set schema_revision = 'tenant_0009' where slug = 'acme'"
        )
    finally:
        await connection.close()
    await advance_schema(house.database, ACME)
    [row] = await house.tenant_rows(ACME, "select scopes, installation_id, skills from agents")
    assert (row["scopes"], row["installation_id"]) == (["orders:read", "orders:write"], None)

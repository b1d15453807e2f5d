"""An organization is removed, and another of its name comes: processes that knew the old key go on with the new one."""

from __future__ import annotations

import os
from uuid import UUID

import pytest

from fleetprompt.credentials import MasterKey, SealBroken, Secret
from fleetprompt.kernel.ids import new_id
from fleetprompt.packages.secrets import Vault
from fleetprompt.tenancy.organizations import create_organization
from fleetprompt.tenancy.removal import delete_organization
from tests.house import ACME, House, fresh_house

MADE = (
    "insert into installations (id, package, version, name, state, config, account, start_at_ms, generation)"
    " values ($1, 'mattermost', '1.0.0', 'x', 'installed', '{}', '{}', 0, 1)"
)


async def installed(house: House) -> UUID:
    installation_id = new_id()
    await house.tenant_rows(ACME, MADE, installation_id)
    return installation_id


async def kept(house: House, vault: Vault, installation_id: UUID, value: str) -> None:
    await vault.key_of(ACME)
    async with house.tenancy.session(ACME) as session:
        await vault.store(session, installation_id, {"bot_token": Secret(value)})


async def read(house: House, vault: Vault, installation_id: UUID) -> str:
    async with house.tenancy.session(ACME) as session:
        return (await vault.read_all(session, installation_id))["bot_token"].reveal()


async def test_who_ran_all_the_while_reads_and_writes_under_the_new_key() -> None:
    master = os.urandom(32)
    async with fresh_house() as house:
        worker, command = (Vault(house.database, MasterKey(master)) for _ in range(2))
        await kept(house, worker, await installed(house), "old")
        await delete_organization(house.database, ACME)
        await create_organization(house.database, ACME)
        new = await installed(house)
        await kept(house, command, new, "new")
        assert await read(house, worker, new) == "new"
        await delete_organization(house.database, ACME)
        await create_organization(house.database, ACME)
        third = await installed(house)
        await kept(house, worker, third, "third")  # nobody has made its key yet
        assert await read(house, command, third) == "third"


async def test_what_was_changed_stays_refused() -> None:
    async with fresh_house() as house:
        vault = Vault(house.database, MasterKey(os.urandom(32)))
        installation_id = await installed(house)
        await kept(house, vault, installation_id, "mine")
        await house.tenant_rows(ACME, "update credentials set sealed = sealed || '\\x00'")
        with pytest.raises(SealBroken):
            await read(house, vault, installation_id)

"""Another master key while everything runs: killed at each step and taken up again, with processes of either key at work."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from uuid import UUID

import pytest

from fleetprompt.credentials import KEY_FILE, MasterKey, Secret, WrongMasterKey, rotation
from fleetprompt.database.engine import Database
from fleetprompt.kernel.errors import Conflict
from fleetprompt.kernel.ids import TenantSlug, new_id
from fleetprompt.packages.secrets import Vault
from fleetprompt.tenancy.organizations import create_organization
from tests import killing
from tests.house import ACME, GLOBEX, House
from tests.integration.test_vault_made_anew import MADE

STEPS = ("master_key.announced", "master_key.rewrapped", "master_key.kept", "master_key.in_force")
INITECH = TenantSlug("initech")


async def rotates(url: str, folder: str) -> None:
    """The command, in a process of its own."""
    database = Database(url, pool_size=2)
    try:
        await rotation.rotate_file(database, Path(folder), MasterKey.load(None, Path(folder)))
    finally:
        await database.close()


async def kept(house: House, vault: Vault, tenant: TenantSlug, value: str) -> UUID:
    installation_id = new_id()
    await house.tenant_rows(tenant, MADE, installation_id)
    await vault.key_of(tenant)
    async with house.tenancy.session(tenant) as session:
        await vault.store(session, installation_id, {"bot_token": Secret(value)})
    return installation_id


async def read(house: House, vault: Vault, tenant: TenantSlug, installation_id: UUID) -> str:
    async with house.tenancy.session(tenant) as session:
        return (await vault.read_all(session, installation_id))["bot_token"].reveal()


def started(house: House, folder: Path) -> Vault:
    """What a process that starts now opens secrets with."""
    return Vault(house.database, MasterKey.load(None, folder))


def modes(folder: Path) -> set[str]:
    return {oct(one.stat().st_mode & 0o777) for one in folder.iterdir()}


@pytest.mark.parametrize("step", [*STEPS, "master_key.rewrapped:2"])
async def test_a_death_at_any_step_loses_nothing_and_the_same_command_goes_on(
    house: House, tmp_path: Path, step: str
) -> None:
    before = started(house, tmp_path)
    where = {tenant: await kept(house, before, tenant, f"of {tenant}") for tenant in (ACME, GLOBEX)}
    former = MasterKey.load(None, tmp_path)
    await killing.dies(rotates, house.url, str(tmp_path), fault=step)
    for tenant, one in where.items():
        for vault in (Vault(house.database, former), started(house, tmp_path)):  # who has either reads all
            assert await read(house, vault, tenant, one) == f"of {tenant}"
    if step != "master_key.in_force":
        await rotates(house.url, str(tmp_path))
    now = MasterKey.load(None, tmp_path)
    assert now.fingerprint != former.fingerprint
    heads = await house.rows("select encode(substring(wrapped_key, 1, 8), 'hex') from organizations")
    assert {row[0] for row in heads} == {now.fingerprint}
    assert (
        MasterKey.parse((tmp_path / f"{KEY_FILE}.{former.fingerprint}").read_text(), "x").fingerprint
        == former.fingerprint
    )
    assert not (tmp_path / "master.key.next").exists()
    assert modes(tmp_path) == {"0o600"}
    assert await rotation.finish(house.database, now) == 1
    for tenant, one in where.items():
        assert await read(house, started(house, tmp_path), tenant, one) == f"of {tenant}"


async def test_who_runs_with_the_former_key_goes_on_until_it_is_finished(
    house: House, tmp_path: Path
) -> None:
    running = started(house, tmp_path)
    idle, asleep = started(house, tmp_path), started(house, tmp_path)
    one = await kept(house, running, ACME, "before")
    await rotates(house.url, str(tmp_path))
    fresh = started(house, tmp_path)
    for vault in (running, idle, fresh):
        assert await read(house, vault, ACME, one) == "before"
    two = await kept(
        house, running, GLOBEX, "after"
    )  # the first of globex: its key is made by whoever is old
    assert await read(house, fresh, GLOBEX, two) == "after"
    with pytest.raises(Conflict, match="still leads to it"):
        await rotates(house.url, str(tmp_path))
    assert await rotation.finish(house.database, MasterKey.load(None, tmp_path)) == 1
    assert await rotation.finish(house.database, MasterKey.load(None, tmp_path)) == 0
    assert await read(house, running, ACME, one) == "before"  # what it has opened it keeps
    await create_organization(house.database, INITECH)
    with pytest.raises(WrongMasterKey, match="was replaced"):
        await asleep.key_of(INITECH)
    assert await read(house, fresh, INITECH, await kept(house, fresh, INITECH, "new")) == "new"


async def test_the_former_key_and_a_copy_of_the_database_open_nothing_afterwards(house: House) -> None:
    former, new = (MasterKey(os.urandom(32)) for _ in range(2))
    one = await kept(house, Vault(house.database, former), ACME, "s3cret")
    assert await rotation.rotate(house.database, former, new) == 1
    assert await rotation.rotate(house.database, former, new) == 0
    await rotation.finish(house.database, new)
    with pytest.raises(WrongMasterKey):
        await read(house, Vault(house.database, former), ACME, one)
    assert await read(house, Vault(house.database, new), ACME, one) == "s3cret"


async def test_what_cannot_be_is_refused_and_changes_nothing(house: House) -> None:
    former, new, third = (MasterKey(os.urandom(32)) for _ in range(3))
    one = await kept(house, Vault(house.database, former), ACME, "s3cret")
    with pytest.raises(Conflict, match="in use"):
        await rotation.rotate(house.database, former, former)
    await rotation.rotate(house.database, former, new)
    for start, to in ((former, third), (new, third), (new, former)):
        with pytest.raises(Conflict):
            await rotation.rotate(house.database, start, to)
    with pytest.raises(Conflict, match="the former one"):
        await rotation.finish(house.database, former)
    assert await read(house, Vault(house.database, former), ACME, one) == "s3cret"


async def test_it_is_not_finished_while_a_worker_runs_that_began_before(house: House) -> None:
    former, new = (MasterKey(os.urandom(32)) for _ in range(2))
    await house.rows("insert into public.worker (id, idle, host, pid) values ('w', true, 'h', 1)")
    await rotation.rotate(house.database, former, new)
    with pytest.raises(Conflict, match="1 workers still run"):
        await rotation.finish(house.database, new)
    await house.rows("update public.worker set started_at = now()")
    assert await rotation.finish(house.database, new) == 1


async def test_the_next_key_that_got_lost_is_found_in_the_registry(house: House, tmp_path: Path) -> None:
    await kept(house, started(house, tmp_path), ACME, "s3cret")
    await killing.dies(rotates, house.url, str(tmp_path), fault="master_key.announced")
    lost = tmp_path / "master.key.next"
    fingerprint = MasterKey.parse(lost.read_text(), "x").fingerprint
    lost.unlink()
    await rotates(house.url, str(tmp_path))
    assert MasterKey.load(None, tmp_path).fingerprint == fingerprint
    assert len(base64.b64decode((tmp_path / KEY_FILE).read_text())) == 32

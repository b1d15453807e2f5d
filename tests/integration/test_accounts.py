"""Users and memberships: who belongs where, who may what, and that no organization loses its last owner."""

from __future__ import annotations

import asyncio
from uuid import UUID

import asyncpg
import pytest

from fleetprompt.accounts import Role, find_member, find_user, members, require_member, require_member_here
from fleetprompt.accounts.change import LastOwner, add_member
from fleetprompt.accounts.rights import NotAllowed
from fleetprompt.kernel.errors import Conflict, InvalidInput, NotFound
from fleetprompt.kernel.ids import TenantSlug, new_id
from fleetprompt.tenancy.registry import in_registry
from tests import killing
from tests import members as program
from tests.house import ACME, GLOBEX, House
from tests.members import TELL, address, changed, joins, told

DEMOTIONS = ("suspend", "remove", "admin", "member")


async def here(house: House, tenant: TenantSlug = ACME) -> list[tuple[str, str, str]]:
    async with house.tenancy.session(tenant) as session:
        return [(one.name, one.role.value, one.status.value) for one in await members(session)]


async def test_a_member_is_added_once_and_the_fact_is_told_once(house: House) -> None:
    first, again = await joins(house, "Ada", Role.ADMIN), await joins(house, "Ada", Role.ADMIN)
    assert first == again
    assert await here(house) == [("Ada", "admin", "active")]
    assert await told(house) == [("added", None, "admin")]
    [row] = await house.tenant_rows(ACME, "select * from signals")
    assert (row["actor_id"], row["retention"]) == ("cli:test", "audit")
    assert "acme.example" not in str(row["payload"])


async def test_one_person_is_one_user_however_the_address_is_written(house: House) -> None:
    for spelling in ("Ada@Acme.Example", " ada@acme.example\n", "ADA@ACME.EXAMPLE"):
        async with house.tenancy.session(ACME) as session:
            await add_member(session, TELL, spelling)
            assert (await find_member(session, spelling)).name == "ada"
    assert (await find_user(house.database, "aDa@acme.example")).email == "ada@acme.example"
    assert await house.value("select count(*) from public.users") == 1


async def test_two_who_add_the_same_person_at_once_make_one_member(house: House) -> None:
    made = await asyncio.gather(
        *(joins(house, "Ada") for _ in range(4)), *(joins(house, "Ada", tenant=GLOBEX) for _ in range(4))
    )
    assert len({one.user_id for one in made}) == 1
    assert (await told(house), await told(house, GLOBEX)) == ([("added", None, "member")],) * 2


async def test_an_address_that_is_none_adds_nobody(house: House) -> None:
    with pytest.raises(InvalidInput, match="is no e-mail address"):
        async with house.tenancy.session(ACME) as session:
            await add_member(session, TELL, "ada at acme")
    with pytest.raises(InvalidInput, match="A person's name has"):
        async with house.tenancy.session(ACME) as session:
            await add_member(session, TELL, address("Ada"), name="two\nlines")
    assert await house.value("select count(*) from public.users") == 0


async def test_a_member_of_one_organization_is_none_of_another(house: House) -> None:
    ada = await joins(house, "Ada", Role.OWNER)
    assert (await require_member(house.database, ACME, ada.user_id)).role == Role.OWNER
    with pytest.raises(NotAllowed, match="no member of globex") as refused:
        await require_member(house.database, GLOBEX, ada.user_id)
    assert "Ada" not in str(refused.value)
    assert (await here(house, GLOBEX), await told(house, GLOBEX)) == ([], [])
    async with house.tenancy.session(GLOBEX) as session:
        with pytest.raises(NotFound, match="no member of globex"):
            await find_member(session, address("Ada"))
    for what in ("suspend", "restore", "remove", "member"):
        with pytest.raises(NotFound, match="no member of globex"):
            await changed(house, what, ada.user_id, GLOBEX)
    assert await here(house) == [("Ada", "owner", "active")]


async def test_what_a_person_is_in_one_organization_says_nothing_about_another(house: House) -> None:
    mine, theirs = await joins(house, "Ada", Role.OWNER), await joins(house, "Ada", tenant=GLOBEX)
    await joins(house, "Eve", Role.OWNER, GLOBEX)
    await changed(house, "suspend", theirs.user_id, GLOBEX)
    assert mine.user_id == theirs.user_id
    assert await here(house) == [("Ada", "owner", "active")]
    assert await here(house, GLOBEX) == [("Ada", "member", "suspended"), ("Eve", "owner", "active")]


async def test_another_organization_cannot_rename_a_person(house: House) -> None:
    await joins(house, "Ada")
    async with house.tenancy.session(GLOBEX) as session:
        added = await add_member(session, TELL, address("Ada"), name="Mallory")
    assert added.name == "Ada"


async def test_a_role_gives_the_rights_of_the_lower_ones_and_no_others(house: House) -> None:
    ids = {role: (await joins(house, role.title(), role)).user_id for role in Role}
    for role in Role:
        for wanted in Role:
            if role >= wanted:
                await require_member(house.database, ACME, ids[role], wanted)
                continue
            with pytest.raises(NotAllowed, match=f"is {role} of acme, and this takes an") as refused:
                await require_member(house.database, ACME, ids[role], wanted)
            assert "Owner" in str(refused.value)


async def test_who_is_suspended_or_removed_has_no_rights_until_they_are_back(house: House) -> None:
    await joins(house, "Eve", Role.OWNER)
    ada = (await joins(house, "Ada", Role.ADMIN)).user_id
    await changed(house, "suspend", ada)
    with pytest.raises(NotAllowed, match="Ada is suspended in acme"):
        await require_member(house.database, ACME, ada)
    await changed(house, "restore", ada)
    assert (await require_member(house.database, ACME, ada)).role == Role.ADMIN
    await changed(house, "remove", ada)
    with pytest.raises(NotAllowed, match="no member of acme"):
        await require_member(house.database, ACME, ada)
    assert await here(house) == [("Eve", "owner", "active")]
    await joins(house, "Ada")
    assert (await require_member(house.database, ACME, ada)).role == Role.MEMBER
    changes = [("suspended", "admin", "admin"), ("restored", "admin", "admin"), ("removed", "admin", "admin")]
    assert (await told(house))[1:] == [("added", None, "admin"), *changes, ("added", "admin", "member")]


async def test_nobody_knows_a_stranger(house: House) -> None:
    with pytest.raises(NotAllowed, match="no member of acme"):
        await require_member(house.database, ACME, new_id())
    with pytest.raises(NotFound, match=r"There is no user nobody@acme\.example"):
        await find_user(house.database, "nobody@acme.example")


async def test_the_same_change_again_is_no_change(house: House) -> None:
    await joins(house, "Eve", Role.OWNER)
    ada = (await joins(house, "Ada")).user_id
    for what in ("member", "restore", "suspend", "suspend", "admin", "admin"):
        await changed(house, what, ada)
    assert (await told(house))[2:] == [("suspended", "member", "member"), ("role_changed", "member", "admin")]


async def test_adding_says_what_is_there_instead_of_changing_it(house: House) -> None:
    await joins(house, "Eve", Role.OWNER)
    ada = await joins(house, "Ada")
    with pytest.raises(Conflict, match=r"is member of acme already\. Change it: fleetprompt member role"):
        await joins(house, "Ada", Role.ADMIN)
    await changed(house, "suspend", ada.user_id)
    with pytest.raises(Conflict, match=r"is suspended in acme\. End that: fleetprompt member restore"):
        await joins(house, "Ada")


@pytest.mark.parametrize("what", DEMOTIONS)
async def test_the_last_active_owner_stays(house: House, what: str) -> None:
    ada, eve = await joins(house, "Ada", Role.OWNER), await joins(house, "Eve", Role.OWNER)
    await joins(house, "Eve", Role.OWNER, GLOBEX)  # who owns another organization is no help
    await changed(house, "suspend", eve.user_id)
    before = await told(house)
    with pytest.raises(LastOwner, match=r"Ada is the last active owner of acme\. Make another first"):
        await changed(house, what, ada.user_id)
    assert (await here(house))[0] == ("Ada", "owner", "active")
    assert await told(house) == before
    await changed(house, "restore", eve.user_id)
    await changed(house, what, ada.user_id)


@pytest.mark.parametrize("what", DEMOTIONS)
async def test_of_two_owners_who_leave_at_once_one_stays(house: House, what: str) -> None:
    owners = [await joins(house, name, Role.OWNER) for name in ("Ada", "Eve")]
    for _ in range(5):
        outcomes = await asyncio.gather(
            *(changed(house, what, one.user_id) for one in owners), return_exceptions=True
        )
        assert sorted(type(one).__name__ for one in outcomes) == ["LastOwner", "Member"]
        [left] = [one for one in await here(house) if one[1:] == ("owner", "active")]
        gone = next(one for one in owners if one.name != left[0])
        if what == "remove":
            await joins(house, gone.name, Role.OWNER)
        else:
            await changed(house, "restore", gone.user_id)
            await changed(house, "owner", gone.user_id)


async def test_a_right_that_was_asked_for_in_a_transaction_holds_to_its_end(house: House) -> None:
    await joins(house, "Eve", Role.OWNER)
    ada = (await joins(house, "Ada", Role.ADMIN)).user_id
    async with house.tenancy.session(ACME) as session:
        await require_member_here(session, ada, Role.ADMIN)
        taking = asyncio.create_task(changed(house, "suspend", ada))
        await asyncio.sleep(0.2)
        assert not taking.done()
    assert not (await taking).is_active


async def test_a_refusal_leaves_the_session_the_tenants(house: House) -> None:
    async with house.tenancy.session(ACME) as session:
        with pytest.raises(NotAllowed):
            await require_member_here(session, new_id())
        added = await add_member(session, TELL, address("Ada"))
    assert await told(house) == [("added", None, "member")]
    assert added.is_active


async def test_in_the_registry_the_tenants_tables_are_out_of_reach(house: House) -> None:
    from sqlalchemy import text
    from sqlalchemy.exc import DBAPIError

    with pytest.raises(DBAPIError, match="permission denied"):
        async with house.tenancy.session(ACME) as session, in_registry(session):
            await session.execute(text("select id from org_acme.signals"))


@pytest.mark.parametrize("table", ["users", "memberships"])
async def test_a_tenants_own_role_sees_no_people_at_all(house: House, table: str) -> None:
    await joins(house, "Ada")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await house.tenant_rows(ACME, f"select * from public.{table}")


async def test_an_organization_that_is_not_there_has_no_members(house: House) -> None:
    with pytest.raises(NotFound, match="There is no organization 'initech'"):
        await joins(house, "Ada", tenant=TenantSlug("initech"))
    assert await house.value("select count(*) from public.users") == 0


async def test_a_death_between_the_change_and_its_signal_leaves_neither(house: House) -> None:
    await joins(house, "Eve", Role.OWNER)
    ada: UUID = (await joins(house, "Ada")).user_id
    before = await told(house)
    await killing.dies(program.change, house.url, "suspend", str(ada), fault="membership.written")
    assert (await here(house))[1] == ("Ada", "member", "active")
    assert await told(house) == before
    assert await killing.run(program.change, house.url, "suspend", str(ada)) == 0
    assert (await told(house))[-1] == ("suspended", "member", "member")

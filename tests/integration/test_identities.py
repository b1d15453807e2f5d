"""Accounts of a chat become users by a code alone; in one organization, on one server, for one account."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fleetprompt.accounts import Role, identities
from fleetprompt.accounts.codes import InvalidCode
from fleetprompt.accounts.rights import NotAllowed
from fleetprompt.kernel.errors import Conflict, FleetPromptError, NotFound
from tests.house import ACME, GLOBEX, House
from tests.members import changed, joins
from tests.people import SERVER, TELL, behind, link_code, links

DANA: dict[str, str] = {"connector": "mattermost", "server_key": SERVER, "subject": "dana-id"}


async def told(house: House) -> list[str]:
    rows = await house.tenant_rows(ACME, "select name from signals where name like 'identity.%' order by id")
    return [row[0].removeprefix("identity.") for row in rows]


async def test_a_code_binds_one_account_of_one_server_in_one_organization(house: House) -> None:
    ada = await joins(house, "Ada", Role.ADMIN)
    await joins(house, "Ada", Role.OWNER, GLOBEX)
    linked = await links(house, (await link_code(house, ada)).code.reveal(), "dana-id")
    assert (linked.user_id, linked.role) == (ada.user_id, Role.ADMIN)
    assert await behind(house, "dana-id") == linked
    assert await behind(house, "dana-id", tenant=GLOBEX) is None
    assert await behind(house, "dana-id", server_key="https://chat.evil.example") is None
    assert await behind(house, "dana-id", connector="proton-mail") is None
    assert await behind(house, "dana") is None
    assert await told(house) == ["linked"]
    [row] = await house.tenant_rows(ACME, "select payload::text from signals where name = 'identity.linked'")
    assert "acme.example" not in row[0].replace(SERVER, "")


@pytest.mark.parametrize(
    "way", [str.lower, lambda code: f" {code.replace('-', ' ')} ", lambda code: code.replace("-", "–")]
)
async def test_a_code_may_be_typed_as_people_type(house: House, way: Any) -> None:
    ada = await joins(house, "Ada")
    code = (await link_code(house, ada)).code.reveal()
    assert (await links(house, way(code), "dana-id")).user_id == ada.user_id


async def test_a_code_is_used_once_however_many_use_it_at_once(house: House) -> None:
    ada = await joins(house, "Ada")
    code = (await link_code(house, ada)).code.reveal()
    tries = await asyncio.gather(
        *(links(house, code, f"account-{n}") for n in range(6)), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in tries) == ["InvalidCode"] * 5 + ["Member"]
    assert await house.value("select count(*) from public.identities") == 1
    assert await told(house) == ["linked"]


async def test_two_codes_for_one_account_make_it_one_persons(house: House) -> None:
    people = [await joins(house, name) for name in ("Ada", "Bob")]
    issued = [(await link_code(house, one)).code.reveal() for one in people]
    tries = await asyncio.gather(*(links(house, code, "dana-id") for code in issued), return_exceptions=True)
    assert sorted(type(one).__name__ for one in tries) == ["Conflict", "Member"]
    winner = next(one for one in tries if not isinstance(one, BaseException))
    loser = next(code for code, one in zip(issued, tries, strict=True) if isinstance(one, Conflict))
    assert await behind(house, "dana-id") == winner
    assert (
        await links(house, loser, "another-id")
    ).user_id != winner.user_id  # the code is as good as before


async def refused(house: House, code: str, **more: Any) -> FleetPromptError:
    with pytest.raises(FleetPromptError) as caught:
        await links(house, code, "dana-id", **more)
    assert await behind(house, "dana-id") is None
    return caught.value


async def test_a_code_that_opens_nothing_says_why(house: House) -> None:
    ada = await joins(house, "Ada")
    first = (await link_code(house, ada)).code.reveal()
    second = (await link_code(house, ada)).code.reveal()
    assert "a newer one took its place" in str(await refused(house, first))
    assert "mistyped" in str(await refused(house, "AAAA-BBBB-CCCC"))
    assert "mistyped" in str(await refused(house, "\0' or 1=1 --" * 40))
    assert "mistyped" in str(await refused(house, second, tenant=GLOBEX))
    await house.rows("update public.one_time_codes set expires_at = now()")
    error = await refused(house, second)
    assert isinstance(error, InvalidCode)
    assert "has expired" in str(error)


async def test_who_is_suspended_neither_links_nor_has_rights_by_a_link(house: House) -> None:
    await joins(house, "Eve", Role.OWNER)
    ada = await joins(house, "Ada", Role.ADMIN)
    await links(house, (await link_code(house, ada)).code.reveal(), "dana-id")
    code = (await link_code(house, ada)).code.reveal()
    await changed(house, "suspend", ada.user_id)
    assert await behind(house, "dana-id") is None
    with pytest.raises(NotAllowed):
        await links(house, code, "second-id")
    with pytest.raises(NotAllowed):
        await link_code(house, ada)
    await changed(house, "restore", ada.user_id)
    assert (await links(house, code, "second-id")).user_id == ada.user_id
    assert await behind(house, "dana-id") == await behind(house, "second-id")
    await changed(house, "member", ada.user_id)
    assert (await behind(house, "dana-id") or ada).role == Role.MEMBER


async def test_who_is_removed_and_added_again_begins_anew(house: House) -> None:
    await joins(house, "Eve", Role.OWNER)
    ada = await joins(house, "Ada")
    await links(house, (await link_code(house, ada)).code.reveal(), "dana-id")
    code = (await link_code(house, ada)).code.reveal()
    await changed(house, "remove", ada.user_id)
    await joins(house, "Ada")
    assert await behind(house, "dana-id") is None
    await refused(house, code)


async def test_a_new_name_keeps_the_rights_and_a_deactivated_account_loses_them(house: House) -> None:
    ada = await joins(house, "Ada")
    await links(house, (await link_code(house, ada)).code.reveal(), "dana-id", name="dana")
    async with house.tenancy.session(ACME) as session:
        assert await identities.rename(session, TELL, **DANA, name="dana.new")
        assert not await identities.rename(session, TELL, **DANA, name="dana.new")
        assert [one.name for one in await identities.accounts_of(session, ada.user_id)] == ["dana.new"]
    assert await behind(house, "dana-id") == ada
    for change, who in ((identities.deactivate, None), (identities.reactivate, ada)):
        async with house.tenancy.session(ACME) as session:
            assert [await change(session, TELL, **DANA) for _ in range(2)] == [True, False]
        assert await behind(house, "dana-id") == who
    assert await told(house) == ["linked", "renamed", "deactivated", "reactivated"]


async def test_an_account_is_unlinked_by_its_person_or_from_the_chat_and_by_nobody_else(house: House) -> None:
    ada, bob = await joins(house, "Ada"), await joins(house, "Bob")
    await joins(house, "Ada", tenant=GLOBEX)
    await links(house, (await link_code(house, ada)).code.reveal(), "dana-id")
    async with house.tenancy.session(ACME) as session:
        [account] = await identities.accounts_of(session, ada.user_id)
    for tenant, user_id in ((ACME, bob.user_id), (GLOBEX, ada.user_id)):
        async with house.tenancy.session(tenant) as session:
            with pytest.raises(NotFound):
                await identities.unlink_own(session, TELL, user_id, account.id)
    assert await behind(house, "dana-id") == ada
    async with house.tenancy.session(ACME) as session:
        await identities.unlink_own(session, TELL, ada.user_id, account.id)
        with pytest.raises(NotFound):
            await identities.unlink(session, TELL, **DANA)
    assert await behind(house, "dana-id") is None
    assert await told(house) == ["linked", "unlinked"]

"""kill -9 between two steps of proving who one is: it happened with its signal, or it did not, and the code still works."""

from __future__ import annotations

import pytest

from fleetprompt.accounts import claims
from tests import killing, people
from tests.house import ACME, House
from tests.members import joins
from tests.people import TELL, behind, claims_account, link_code

COUNTS = """
select (select count(*) from public.identities), (select count(*) from public.api_keys),
    (select count(*) from public.users where password_hash is not null),
    (select count(*) from public.one_time_codes where used_at is not null)
"""


async def counted(house: House) -> tuple[int, ...]:
    [row] = await house.rows(COUNTS)
    return tuple(row)


async def told(house: House) -> list[str]:
    rows = await house.tenant_rows(
        ACME, "select name from signals where name not like 'membership.%' order by id"
    )
    return [row[0] for row in rows]


DEATHS = [
    ("claim", "code.redeemed", (0, 0, 1, 1), "claim.redeemed"),
    ("link", "code.redeemed", (1, 0, 0, 1), "identity.linked"),
    ("link", "identity.written", (1, 0, 0, 1), "identity.linked"),
    ("key", "key.written", (0, 1, 0, 0), "api_key.created"),
]


@pytest.mark.parametrize(("what", "fault", "after", "signal"), DEATHS)
async def test_a_death_leaves_nothing_behind_and_the_same_step_goes_through_afterwards(
    house: House, what: str, fault: str, after: tuple[int, ...], signal: str
) -> None:
    ada = await joins(house, "Ada")
    code = (await link_code(house, ada)).code.reveal()
    if what == "claim":
        async with house.tenancy.session(ACME) as session:
            code = (await claims.issue_claim(session, TELL, ada.user_id)).code.reveal()
    before = await told(house)
    step = (people.step, house.url, what, str(ada.user_id), code)
    await killing.dies(*step, fault=fault)
    assert (await counted(house), await told(house)) == ((0, 0, 0, 0), before)
    assert await killing.run(*step) == 0
    assert (await counted(house), await told(house)) == (after, [*before, signal])
    assert (await behind(house, "dana-id") is not None) is (what == "link")


async def test_a_login_whose_answer_is_lost_leaves_a_session_that_nobody_has(house: House) -> None:
    ada = await joins(house, "Ada")
    await claims_account(house, ada)
    step = (people.step, house.url, "login", str(ada.user_id), "")
    await killing.dies(*step, fault="session.opened")
    assert await killing.run(*step) == 0
    assert await house.value("select count(distinct token_hash) from public.web_sessions") == 2

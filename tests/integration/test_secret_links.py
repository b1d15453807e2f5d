"""One-time links for secrets: whose they are, what voids them, and that none of them stands anywhere."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from fleetprompt.kernel.errors import Conflict, NotFound
from fleetprompt.kernel.ids import new_id
from fleetprompt.packages import secret_links
from fleetprompt.packages.secret_links import MAX_ATTEMPTS, LinkRefused, Opened
from fleetprompt.runtime.registry import Registry
from fleetprompt.settings import Settings
from tests.house import ACME, GLOBEX, House
from tests.members import OPERATOR

MADE = (
    "insert into installations (id, package, version, name, state, config, account, start_at_ms, generation)"
    " values ($1, 'mattermost', '1.0.0', 'x', 'installed', '{\"url\": \"http://a\"}', '{}', 0, 1)"
)
DANA, EVE = new_id(), new_id()
REGISTRY = Registry()
secret_links.register(REGISTRY)


async def installed(house: House) -> UUID:
    installation_id = new_id()
    await house.tenant_rows(ACME, MADE, installation_id)
    return installation_id


async def issued(house: House, installation_id: UUID, user_id: UUID = DANA) -> str:
    async with house.tenancy.session(ACME) as session:
        return await secret_links.issue(
            session, user_id=user_id, installation_id=installation_id, credential="bot_token"
        )


async def looked(house: House, token: str, user_id: UUID = DANA) -> Opened:
    async with house.tenancy.session(ACME) as session:
        return await secret_links.look(session, token, user_id=user_id)


async def begun(house: House, token: str) -> Opened:
    async with house.tenancy.session(ACME) as session:
        return await secret_links.begin(session, token, user_id=DANA)


async def finished(house: House, opened: Opened, *, accepted: bool) -> None:
    async with house.tenancy.session(ACME) as session:
        refused = None if accepted else Conflict("It does not work.")
        await secret_links.finish(session, REGISTRY, opened.link_id, OPERATOR, refused=refused)


async def refusal(house: House, token: str, user_id: UUID = DANA) -> str:
    with pytest.raises(LinkRefused) as refused:
        await looked(house, token, user_id)
    assert refused.value.advice
    return refused.value.what


async def test_looking_consumes_nothing_and_handing_over_closes(house: House) -> None:
    token = await issued(house, await installed(house))
    for _ in range(3):
        assert (await looked(house, token)).attempts_left == MAX_ATTEMPTS
    opened = await begun(house, token)
    assert (opened.package, opened.name, opened.credential) == ("mattermost", "x", "bot_token")
    await finished(house, opened, accepted=True)
    await finished(house, opened, accepted=False)  # what is closed stays as it was closed
    assert await refusal(house, token) == "This link was used already."


async def test_the_token_stands_nowhere(house: House) -> None:
    token = await issued(house, await installed(house))
    row = (await house.tenant_rows(ACME, "select l::text as words from secret_links l"))[0]
    assert token not in row["words"]
    assert token.encode().hex() not in row["words"]
    assert len(token) >= 43  # 256 bits


async def test_another_person_and_another_organization_learn_nothing(house: House) -> None:
    token = await issued(house, await installed(house))
    assert await refusal(house, token, EVE) == "This link was made for another person."
    async with house.tenancy.session(GLOBEX) as session:
        with pytest.raises(LinkRefused) as refused:
            await secret_links.look(session, token, user_id=DANA)
    assert "mattermost" not in str(refused.value)
    assert await refusal(house, "x" * 43) == refused.value.what


async def test_a_newer_link_voids_the_older_of_the_same_person_alone(house: House) -> None:
    installation_id = await installed(house)
    first, of_eve = await issued(house, installation_id), await issued(house, installation_id, EVE)
    second = await issued(house, installation_id)
    assert await refusal(house, first) == "A newer link was made in place of this one."
    assert (await looked(house, second)).credential == "bot_token"
    assert (await looked(house, of_eve, EVE)).credential == "bot_token"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("update secret_links set expires_at = now()", "This link has expired."),
        (
            'update installations set config = \'{"url": "http://evil"}\'',
            "mattermost was changed since this link was made.",
        ),
        (
            "update installations set state = 'uninstalling'",
            "mattermost was changed since this link was made.",
        ),
    ],
)
async def test_what_voids_a_link(house: House, change: str, said: str) -> None:
    token = await issued(house, await installed(house))
    await house.tenant_rows(ACME, change)
    assert await refusal(house, token) == said


async def test_another_secret_of_the_same_installation_voids_nothing(house: House) -> None:
    token = await issued(house, await installed(house))
    await house.tenant_rows(ACME, "update installations set generation = generation + 1")
    assert (await looked(house, token)).credential == "bot_token"


async def test_wrong_values_are_bounded(house: House) -> None:
    token = await issued(house, await installed(house))
    for _ in range(MAX_ATTEMPTS):
        await finished(house, await begun(house, token), accepted=False)
    assert "tried 5 times" in await refusal(house, token)


async def test_two_at_once_are_one_attempt_and_a_death_in_it_ends_by_itself(house: House) -> None:
    token = await issued(house, await installed(house))
    both = await asyncio.gather(begun(house, token), begun(house, token), return_exceptions=True)
    assert sorted(type(one).__name__ for one in both) == ["LinkRefused", "Opened"]
    await house.tenant_rows(ACME, "update secret_links set checking_until = now()")
    assert (await begun(house, token)).attempts_left == MAX_ATTEMPTS - 1


async def test_links_are_made_for_what_is_there(house: House) -> None:
    with pytest.raises(NotFound):
        await issued(house, new_id())
    installation_id = await installed(house)
    await house.tenant_rows(ACME, "update installations set state = 'uninstalling'")
    with pytest.raises(Conflict):
        await issued(house, installation_id)


async def test_links_asked_for_at_once_leave_one(house: House) -> None:
    installation_id = await installed(house)
    await asyncio.gather(*(issued(house, installation_id) for _ in range(4)))
    open_ones = "select count(*) from secret_links where closed_because is null"
    assert (await house.tenant_rows(ACME, open_ones))[0][0] == 1


def test_the_address_names_no_tenant() -> None:
    assert secret_links.link_url(Settings(port=8421), "abc") == "http://127.0.0.1:8421/secret/abc"

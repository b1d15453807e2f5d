"""Passwords: guesses are counted, codes are used once, and a new password overtakes whoever had the old one."""

from __future__ import annotations

import asyncio

import pytest

from fleetprompt.accounts import claims, login, sessions, throttle
from fleetprompt.accounts.login import Caller, WrongPassword
from fleetprompt.accounts.throttle import TooManyAttempts
from fleetprompt.kernel.secret import Secret
from tests.house import ACME, House
from tests.members import address, joins
from tests.people import PASSWORD, TELL, joins_with_password, quick_passwords


async def guess(
    house: House, where: str, password: str = "wrong", browser: Secret | None = None, name: str = "Ada"
) -> str:
    try:
        found = await login.log_in(
            house.database, quick_passwords(), address(name), Secret(password), Caller(where, browser)
        )
    except (WrongPassword, TooManyAttempts) as error:
        return error.code
    return found.opened.browser.reveal()


async def test_guesses_are_counted_and_no_stranger_locks_anybody_out(house: House) -> None:
    await joins_with_password(house, "Ada")
    known = Secret(await guess(house, "192.0.2.1", PASSWORD))
    tries = await asyncio.gather(*(guess(house, "203.0.113.9") for _ in range(20)))
    assert sorted(tries) == ["rate_limited"] * 15 + ["wrong_password"] * 5
    assert await guess(house, "203.0.113.9", PASSWORD) == "rate_limited"
    assert len(await guess(house, "192.0.2.1", PASSWORD)) > 20  # from elsewhere, and from a new browser
    botnet = [await guess(house, f"198.51.{n}.1") for n in range(login.PER_ACCOUNT)]
    assert set(botnet) == {"wrong_password"}
    attackers = [await guess(house, "198.51.100.7") for _ in range(3)]
    assert attackers == ["wrong_password", "rate_limited", "rate_limited"]
    assert len(await guess(house, "192.0.2.77", PASSWORD)) > 20  # whoever knows it gets in, from anywhere
    assert await guess(house, "192.0.2.78") == "wrong_password"
    assert await guess(house, "192.0.2.78", PASSWORD) == "rate_limited"
    assert await guess(house, "192.0.2.78", PASSWORD, Secret("made up")) == "rate_limited"
    assert len(await guess(house, "192.0.2.78", PASSWORD, known)) > 20
    await house.rows("update public.attempts set since = now() - interval '16 minutes'")
    assert len(await guess(house, "192.0.2.78", PASSWORD)) > 20
    kept = str(await house.rows("select * from public.attempts"))
    assert not any(word in kept for word in ("192.0.2", "203.0.113", "ada@"))


async def test_a_network_is_counted_whatever_accounts_it_tries_and_a_household_of_ipv6_is_one(
    house: House,
) -> None:
    said = [await guess(house, f"2001:db8::{n:x}", name=f"user{n}") for n in range(login.PER_NETWORK + 3)]
    assert said == ["wrong_password"] * login.PER_NETWORK + ["rate_limited"] * 3
    assert throttle.network_of("::ffff:192.0.2.1") == "192.0.2.1"


async def test_who_is_unknown_and_who_has_no_password_are_told_the_same(house: House) -> None:
    await joins_with_password(house, "Ada")
    await joins(house, "Bob")
    said = set()
    for name in ("Ada", "Bob", "Nobody"):
        with pytest.raises(WrongPassword) as refused:
            await login.log_in(
                house.database, quick_passwords(), address(name), Secret("wrong"), Caller("192.0.2.1")
            )
        said.add(str(refused.value))
    assert len(said) == 1


async def test_a_claim_code_is_used_once_however_many_use_it_at_once(house: House) -> None:
    ada = await joins(house, "Ada")
    async with house.tenancy.session(ACME) as session:
        code = (await claims.issue_claim(session, TELL, ada.user_id)).code.reveal()
    chosen = [f"{PASSWORD} {n}" for n in range(5)]
    tries = await asyncio.gather(
        *(
            claims.redeem_claim(house.tenancy, quick_passwords(), lambda _: TELL, code, Secret(one))
            for one in chosen
        ),
        return_exceptions=True,
    )
    assert sorted(type(one).__name__ for one in tries) == ["InvalidCode"] * 4 + ["Redeemed"]
    opened = [await guess(house, f"192.0.2.{n}", one) for n, one in enumerate(chosen)]
    assert [len(one) > 20 for one in opened] == [not isinstance(one, BaseException) for one in tries]


async def test_a_login_that_is_overtaken_by_a_new_password_opens_nothing(house: House) -> None:
    ada = await joins_with_password(house, "Ada")
    stored = await house.value("select password_hash from public.users")
    async with house.database.session() as session:
        await claims.set_password(session, ada.user_id, "another")
    assert await sessions.open_session(house.database, ada.user_id, stored) is None


async def test_a_password_that_would_be_guessed_at_once_is_none(house: House) -> None:
    ada = await joins(house, "Ada")
    async with house.tenancy.session(ACME) as session:
        code = (await claims.issue_claim(session, TELL, ada.user_id)).code.reveal()
    for word in ("", "short", "a" * 30, "abab" * 5, address("Ada").upper(), "x" * 300):
        with pytest.raises(Exception, match=r"A password has|guessed at once"):
            await claims.redeem_claim(house.tenancy, quick_passwords(), lambda _: TELL, code, Secret(word))
    await claims.redeem_claim(
        house.tenancy, quick_passwords(), lambda _: TELL, code, Secret("ﬁve café words")
    )
    assert len(await guess(house, "192.0.2.1", "five cafe\u0301 words")) > 20  # the same, typed elsewhere

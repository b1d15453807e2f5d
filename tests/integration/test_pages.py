"""Pages for people, over HTTP on loopback: the chosen organization is the tenant, and nothing else is (rows 5 and 6)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fleetprompt.accounts import Role, claims
from tests.house import ACME, GLOBEX, House
from tests.members import address, changed, joins
from tests.people import PASSWORD, TELL, behind, joins_with_password, links
from tests.visiting import Browser, Pages, pages


@pytest.fixture
async def town(house: House) -> AsyncIterator[Pages]:
    """Ada owns acme, Eve owns globex, Bob is an admin of acme and a member of globex."""
    await joins_with_password(house, "Ada", Role.OWNER)
    await joins_with_password(house, "Eve", Role.OWNER, GLOBEX)
    await joins_with_password(house, "Bob", Role.ADMIN)
    await joins(house, "Bob", tenant=GLOBEX)
    async with pages(house) as served:
        yield served


@pytest.fixture
async def browser(town: Pages) -> AsyncIterator[Browser]:
    async with town.browser() as opened:
        yield opened


def heading(browser: Browser) -> str:
    return browser.page.text.partition("<h1>")[2].partition("</h1>")[0]


async def test_a_page_leads_over_the_login_to_itself(browser: Browser) -> None:
    await browser.see("/account?a=1&b=2")
    assert browser.page.url.path == "/login"
    await browser.logs_in(address("Ada"), path="/account?a=1&b=2")
    assert (browser.page.status_code, str(browser.page.url.raw_path, "ascii")) == (200, "/account?a=1&b=2")
    assert "owner of acme" in browser.page.text


async def test_who_belongs_to_several_chooses_and_sees_the_chosen_one_alone(browser: Browser) -> None:
    await browser.logs_in(address("Bob"))
    assert heading(browser) == "Your organizations"
    await browser.send("/organizations", organization="acme")
    assert heading(browser) == "acme"
    assert address("Ada") in browser.page.text
    assert address("Eve") not in browser.page.text
    await browser.see("/organizations")
    await browser.send("/organizations", organization="globex")
    assert heading(browser) == "globex"
    assert "member here" in browser.page.text
    assert address("Eve") not in browser.page.text  # a plain member is told of no others


SMUGGLED = [
    ("/?organization=globex&org=globex&tenant=globex", {}),
    (
        "/",
        {
            "X-Organization": "globex",
            "X-Tenant": "globex",
            "Host": "globex.example",
            "X-Forwarded-Host": "globex",
        },
    ),
    ("/", {"Cookie": "organization=globex; tenant=globex; org=globex"}),
]


async def test_nothing_but_the_choice_names_the_tenant(browser: Browser) -> None:
    await browser.logs_in(address("Ada"))
    kept = "; ".join(f"{name}={value}" for name, value in browser.http.cookies.items())
    for path, headers in SMUGGLED:
        sent = {**headers, "Cookie": f"{headers.get('Cookie', 'a=b')}; {kept}"}
        await browser.see(path, headers=sent)
        assert (heading(browser), browser.page.status_code) == ("acme", 200)
    for elsewhere in ("/globex", "/org/globex", "/organizations/globex"):
        assert (await browser.http.get(elsewhere)).status_code == 404


async def test_an_organization_that_is_not_ones_own_cannot_be_chosen(browser: Browser) -> None:
    await browser.logs_in(address("Ada"))
    for wanted in ("globex", "no_such", "", "acme globex", "../globex", "x" * 5000, "\0", "ACME"):
        await browser.see("/organizations")
        answer = await browser.send("/organizations", organization=wanted)
        assert answer.status_code == 403
        assert "none of your organizations" in answer.text
        await browser.see("/")
        assert heading(browser) == "acme"


async def test_a_forms_field_names_no_tenant(browser: Browser, house: House) -> None:
    await browser.logs_in(address("Ada"))
    await browser.see("/link")
    await browser.send("/link?tenant=globex", organization="globex", tenant="globex", org="globex")
    code = browser.page.text.partition("<code>link ")[2].partition("</code>")[0]
    assert (await links(house, code, "ada-id")).email == address("Ada")
    assert await behind(house, "ada-id", tenant=GLOBEX) is None
    assert code not in str(await house.rows("select * from public.one_time_codes"))


@pytest.mark.parametrize("what", ["suspend", "remove"])
async def test_who_is_no_active_member_any_more_has_lost_the_next_page(
    browser: Browser, house: House, what: str
) -> None:
    await browser.logs_in(address("Bob"))
    await browser.send("/organizations", organization="acme")
    await browser.see("/link")
    user = await house.value("select id from public.users where email = $1", address("Bob"))
    await changed(house, what, user)
    await browser.send("/link")
    assert heading(browser) == "Your organizations"
    assert 'value="acme"' not in browser.page.text
    assert await house.value("select count(*) from public.one_time_codes where used_at is null") == 0
    await browser.see("/")
    assert heading(browser) == "Your organizations"


async def test_a_role_that_is_taken_away_is_gone_from_the_next_page_on(
    browser: Browser, house: House
) -> None:
    await browser.logs_in(address("Bob"))
    await browser.send("/organizations", organization="acme")
    assert address("Ada") in browser.page.text
    user = await house.value("select id from public.users where email = $1", address("Bob"))
    await changed(house, "member", user)
    assert address("Ada") not in (await browser.see("/")).text


async def test_an_organization_that_is_gone_is_no_tenant_any_more(browser: Browser, house: House) -> None:
    await browser.logs_in(address("Ada"))
    await house.rows("update public.organizations set state = 'deleting' where slug = 'acme'")
    await browser.see("/")
    assert "active member of no organization" in browser.page.text


async def test_a_claim_code_makes_a_password_once_and_ends_every_session(
    town: Pages, browser: Browser, house: House
) -> None:
    await browser.logs_in(address("Ada"))
    user = await house.value("select id from public.users where email = $1", address("Ada"))
    async with house.tenancy.session(ACME) as session:
        code = (await claims.issue_claim(session, TELL, user)).code.reveal()
    async with town.browser() as other:
        await other.see("/claim")
        for given, said in (
            ({"code": code, "password": "short", "again": "short"}, "12 to 256"),
            ({"code": code, "password": "another four words", "again": "different words"}, "not the same"),
            (
                {"code": "AAAA-BBBB", "password": "another four words", "again": "another four words"},
                "mistyped",
            ),
        ):
            await other.send("/claim", None, **given)
            assert (other.page.status_code, said in other.page.text) == (400, True), other.page.text
        await other.send(
            "/claim", code=code.lower(), password="another four words", again="another four words"
        )
        assert heading(other) == "acme"
        await other.see("/account")
        await other.send("/logout")
        await other.see("/claim")
        await other.send("/claim", code=code, password="yet other words", again="yet other words")
        assert "was used already" in other.page.text
        await other.logs_in(address("Ada"))
        assert other.page.status_code == 403
        await other.logs_in(address("Ada"), "another four words")
        assert heading(other) == "acme"
    assert (await browser.see("/")).url.path == "/login"
    told = await house.tenant_rows(
        ACME, "select actor_id, actor_name from signals where name = 'claim.redeemed'"
    )
    assert tuple(told[-1]) == (f"user:{user}", "Ada")
    stored = str(await house.rows("select * from public.users")) + str(
        await house.rows("select * from public.one_time_codes")
    )
    assert code not in stored
    assert "four words" not in stored


async def test_a_new_password_ends_the_other_sessions(town: Pages, browser: Browser) -> None:
    await browser.logs_in(address("Ada"))
    await browser.see("/account")
    async with town.browser() as other:
        await other.logs_in(address("Ada"))
        await browser.send(
            "/account/password", current="wrong", new="another four words", again="another four words"
        )
        assert "not your present password" in browser.page.text
        assert heading(other) == "acme"
        await browser.send(
            "/account/password", current=PASSWORD, new="another four words", again="another four words"
        )
        assert (browser.page.status_code, heading(browser)) == (200, "Your account")
        assert (await other.see("/")).url.path == "/login"


async def test_a_copied_cookie_opens_nothing_after_the_logout(
    town: Pages, browser: Browser, house: House
) -> None:
    await browser.logs_in(address("Ada"))
    copy = dict(browser.http.cookies)
    assert copy["fleetprompt_session"] not in str(await house.rows("select * from public.web_sessions"))
    await browser.send("/logout")
    assert "fleetprompt_session" not in browser.http.cookies
    async with town.browser() as thief:
        thief.http.cookies.update(copy)
        assert (await thief.see("/")).url.path == "/login"


async def test_a_member_leaves_and_the_last_owner_cannot(town: Pages, browser: Browser, house: House) -> None:
    await browser.logs_in(address("Ada"))
    await browser.see("/account")
    await browser.send("/account/leave", organization="acme")
    assert (browser.page.status_code, "last active owner" in browser.page.text) == (409, True)
    async with town.browser() as bobs:
        await bobs.logs_in(address("Bob"))
        await bobs.send("/organizations", organization="acme")
        await bobs.see("/account")
        await bobs.send("/account/leave", organization="globex")
        assert bobs.page.status_code == 400
        await bobs.send("/account/leave", organization="acme")
        assert heading(bobs) == "Your organizations"
        assert 'value="acme"' not in bobs.page.text
        assert 'value="globex"' in bobs.page.text
    told = await house.tenant_rows(ACME, "select actor_name from signals where name = 'membership.removed'")
    assert [row[0] for row in told] == ["Bob"]

"""What pages refuse: forms of other sites, malformed forms, guesses. Never a traceback, never 500."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from fleetprompt.accounts import Role, login
from fleetprompt.surfaces.pages.people import safe_next
from tests.house import House
from tests.members import address
from tests.people import PASSWORD, joins_with_password
from tests.visiting import Browser, Pages, pages

FORM = "application/x-www-form-urlencoded"
OPEN, CLOSED = (
    ("/login", "/claim"),
    ("/link", "/organizations", "/account/password", "/account/unlink", "/logout"),
)


@pytest.fixture
async def town(house: House) -> AsyncIterator[Pages]:
    """Ada owns acme."""
    await joins_with_password(house, "Ada", Role.OWNER)
    async with pages(house) as served:
        yield served


@pytest.fixture
async def browser(town: Pages) -> AsyncIterator[Browser]:
    async with town.browser() as opened:
        await opened.logs_in(address("Ada"))
        yield opened


def is_a_page(answer: httpx2.Response) -> bool:
    return answer.headers["content-type"].startswith("text/html") and "Traceback" not in answer.text


MALFORMED: list[dict[str, Any]] = [
    {},
    {"content": b"", "headers": {"Content-Type": FORM}},
    {"content": b"csrf", "headers": {"Content-Type": FORM}},
    {"content": b"csrf=%ff%fe&csrf=\xff\x00%00", "headers": {"Content-Type": FORM}},
    {"content": b"&".join(b"a=b" for _ in range(100)), "headers": {"Content-Type": FORM}},
    {"content": b"=" * 60_000, "headers": {"Content-Type": FORM}},
    {"content": b"a" * 70_000, "headers": {"Content-Type": FORM}},
    {"content": b"{", "headers": {"Content-Type": "application/json"}},
    {"content": b"--x\r\n\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
    {"data": {"csrf": "0" * 64}},
    {"data": {"csrf": "☃"}},
]


async def test_a_malformed_form_is_refused_with_a_page(town: Pages, browser: Browser, house: House) -> None:
    async with town.browser() as stranger:
        for path in OPEN:
            await stranger.see(path)
            for request in MALFORMED:
                answer = await stranger.http.post(path, **request)
                assert answer.status_code in (400, 403, 413), (path, request)
                assert is_a_page(answer)
    for path in CLOSED:
        for request in MALFORMED:
            answer = await browser.http.post(path, **request)
            assert answer.status_code in (400, 403, 413), (path, request)
            assert is_a_page(answer)
    assert await house.value("select count(*) from public.one_time_codes where used_at is null") == 0
    assert (await browser.see("/")).status_code == 200


async def test_odd_values_in_a_sound_form_are_refused_with_a_page(town: Pages, browser: Browser) -> None:
    odd = (
        "",
        "\0",
        "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
        "x" * 30_000,
        "' or 1=1 --",
        "<script>alert(1)</script>",
    )
    for value in odd:
        for path, names in (
            ("/account/unlink", ("identity",)),
            ("/account/password", ("current", "new", "again")),
        ):
            await browser.see("/account")
            answer = await browser.send(path, None, **dict.fromkeys(names, value))
            assert 400 <= answer.status_code < 500, (path, value)
            assert "<script>" not in answer.text
    async with town.browser() as stranger:
        for value in odd:
            for path, asked in (("/login", "email password"), ("/claim", "code password again")):
                await stranger.see(path)
                answer = await stranger.send(path, None, **dict.fromkeys(asked.split(), value))
                assert 400 <= answer.status_code < 500, (path, value)
                assert "<script>" not in answer.text


ELSEWHERE = (
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "https://evil.example"},
    {"Origin": "http://["},
)


async def test_another_sites_form_changes_nothing(town: Pages, browser: Browser, house: House) -> None:
    for headers in ELSEWHERE:
        await browser.see("/link")
        assert (await browser.send("/link", headers)).status_code == 403
    assert await house.value("select count(*) from public.one_time_codes where kind = 'link'") == 0
    for headers in ({"Sec-Fetch-Site": "same-origin", "Origin": town.url}, {"Origin": "null"}):
        await browser.see("/link")
        assert (await browser.send("/link", headers)).status_code == 200


async def test_the_token_of_one_session_is_none_in_another(town: Pages, browser: Browser) -> None:
    await browser.see("/link")
    async with town.browser() as other:
        await other.logs_in(address("Ada"))
        other.page = browser.page
        assert (await other.send("/link")).status_code == 403
    async with town.browser() as nobody:
        nobody.page = browser.page
        assert (await nobody.send("/link")).status_code == 403


async def test_a_page_can_do_nothing_but_show_itself_and_send_forms_home(
    town: Pages, browser: Browser
) -> None:
    async with town.browser() as stranger:
        answers = [await stranger.see(path) for path in ("/login", "/claim", "/nowhere", "/style.css")]
    answers += [await browser.see(path) for path in ("/", "/link", "/account", "/organizations")]
    for answer in answers:
        if answer.status_code == 404:
            continue
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        is_style = answer.headers["content-type"].startswith("text/css")
        assert is_style or answer.headers["cache-control"] == "no-store"
        assert not any(
            word in answer.text for word in ("<script", "style=", "onclick", "http://", "https://")
        )


@pytest.mark.parametrize(
    ("public_url", "prefix", "is_secure"), [(None, "", False), ("https://fleet.example.com", "__Host-", True)]
)
async def test_cookies_are_out_of_reach_of_scripts_and_of_other_sites(
    house: House, public_url: str | None, prefix: str, is_secure: bool
) -> None:
    await joins_with_password(house, "Ada")
    async with pages(house, public_url=public_url) as served, httpx2.AsyncClient(base_url=served.url) as http:
        shown = await http.get("/login")
        [given] = shown.headers.get_list("set-cookie")
        name, _, value = given.partition(";")[0].partition("=")
        csrf = shown.text.partition('name="csrf" value="')[2].partition('"')[0]
        answer = await http.post(
            "/login",
            data={"csrf": csrf, "email": address("Ada"), "password": PASSWORD},
            headers={"Cookie": f"{name}={value}"},
        )
    assert answer.status_code == 303
    set_cookies = answer.headers.get_list("set-cookie")
    assert {one.partition("=")[0] for one in set_cookies} == {
        f"{prefix}fleetprompt_{kind}" for kind in ("session", "browser", "form")
    }
    for one in (given, *set_cookies):
        attributes = {part.strip().lower() for part in one.split(";")[1:]}
        assert {"httponly", "samesite=lax", "path=/"} <= attributes
        assert ("secure" in attributes) is is_secure
        assert not any(part.startswith("domain") for part in attributes)


def test_a_login_leads_to_our_own_pages_alone() -> None:
    for path in ("/", "/link", "/secret?token=a%20b#c", "/a/b?c=d&e=f"):
        assert safe_next(path) == path
    for path in (
        "",
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "/a\\b",
        "/a b",
        "/\r\nX: y",
        "/ä",
        "/" + "a" * 600,
        "javascript:alert(1)",
    ):
        assert safe_next(path) == "/"


async def test_a_page_says_when_to_come_again(town: Pages) -> None:
    async with town.browser() as stranger:
        for _ in range(login.PER_ACCOUNT_AND_NETWORK):
            assert (await stranger.logs_in(address("Ada"), "wrong password")).status_code == 403
        answer = await stranger.logs_in(address("Ada"))
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= 900
    assert "Wait 15 minutes" in answer.text


async def test_a_session_ends_by_itself(town: Pages, browser: Browser, house: House) -> None:
    for column in (
        "expires_at = now()",
        "seen_at = now() - interval '25 hours', expires_at = now() + interval '1 day'",
    ):
        await house.rows(f"update public.web_sessions set {column}")
        assert (await browser.see("/")).url.path == "/login"
        await browser.logs_in(address("Ada"))

"""The page behind a one-time link, over HTTP on loopback: who may send a secret, what is tried, what is said and what is not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

import pytest
from sqlalchemy import update

from fleetprompt.accounts import Role
from fleetprompt.accounts.members import Member
from fleetprompt.credentials import Secret
from fleetprompt.kernel.errors import Conflict
from fleetprompt.model import Installation
from fleetprompt.packages import lifecycle, secret_links
from fleetprompt.packages.handing_over import hand_over, open_link
from fleetprompt.packages.inline import run_now
from fleetprompt.packages.secret_links import LinkRefused
from fleetprompt.sandbox.mattermost import SandboxMattermost
from fleetprompt.sandbox.mattermost.records import SandboxUser
from fleetprompt.tenancy import TenantSession
from tests.dying import Killed, dying_at
from tests.house import ACME, GLOBEX, House
from tests.members import OPERATOR, address, changed, joins
from tests.people import joins_with_password
from tests.visiting import Browser, Pages, pages

WRONG = "k3" * 13


@dataclass(slots=True)
class Scene:
    """Acme waits for the token of its bot; Ada, who owns it, has a link."""

    house: House
    served: Pages
    ada: Member
    bot: SandboxUser
    installation_id: UUID
    token: str

    async def issue(self, user_id: UUID) -> str:
        async with self.house.tenancy.session(ACME) as session:
            return await secret_links.issue(
                session, user_id=user_id, installation_id=self.installation_id, credential="bot_token"
            )

    async def credentials(self) -> list[str]:
        rows = await self.house.tenant_rows(ACME, "select name from credentials")
        return [row["name"] for row in rows]

    async def facts(self) -> list[str]:
        query = "select name from signals where name like 'secret.%' order by id"
        return [row["name"] for row in await self.house.tenant_rows(ACME, query)]

    @property
    def path(self) -> str:
        return f"/secret/{self.token}"


@pytest.fixture
async def scene(house: House) -> AsyncIterator[Scene]:
    ada = await joins_with_password(house, "Ada", Role.OWNER)
    async with SandboxMattermost() as server, pages(house) as served:
        team, bot = server.create_team("engineering"), server.create_user("fleet", is_bot=True)
        server.add_to_channel(bot, server.create_channel(team, "support"))
        asked = await lifecycle.install(
            served.front.packages,
            ACME,
            "mattermost",
            config={"server_url": server.url, "team": team.name},
            secrets={},
            actor=OPERATOR,
        )
        made = Scene(house, served, ada, bot, asked.installation_id, "")
        made.token = await made.issue(ada.user_id)
        yield made


@pytest.fixture
async def browser(scene: Scene) -> AsyncIterator[Browser]:
    async with scene.served.browser() as opened:
        yield opened


async def test_a_secret_that_works_is_kept_and_the_link_is_done(scene: Scene, browser: Browser) -> None:
    page = await browser.logs_in(address("Ada"), path=scene.path)
    policy = page.headers["content-security-policy"]
    assert ("default-src 'none'" in policy, "script" in policy, "<script" in page.text) == (
        True,
        False,
        False,
    )
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    for _ in range(2):  # looking consumes nothing
        assert "needs <strong>bot_token</strong>" in (await browser.see(scene.path)).text
    taken = await browser.send(scene.path, secret=f" {scene.bot.token}\n")
    assert (taken.status_code, "It works, and is kept." in taken.text) == (200, True)
    assert scene.bot.token not in taken.text
    assert await scene.credentials() == ["bot_token"]
    assert await scene.facts() == ["secret.link.used"]
    [directive] = await scene.house.tenant_rows(ACME, "select id from directives")
    assert (await run_now(scene.served.front.packages, ACME, directive["id"], 20)).succeeded
    again = await browser.see(scene.path)
    assert (again.status_code, "This link was used already." in again.text) == (410, True)


async def test_wrong_values_are_refused_with_what_to_do_until_the_tries_are_spent(
    scene: Scene, browser: Browser
) -> None:
    await browser.logs_in(address("Ada"), path=scene.path)
    empty = await browser.send(scene.path, secret="  ")
    assert (empty.status_code, "Nothing was entered." in empty.text, "5 tries" in empty.text) == (
        400,
        True,
        True,
    )
    for left in (4, 3, 2, 1):
        page = await browser.send(scene.path, secret=WRONG)
        assert page.status_code == 400
        assert f"{left} {'try is' if left == 1 else 'tries are'} left" in page.text
        assert 'role="alert"' in page.text
        assert WRONG not in page.text
    last = await browser.send(scene.path, secret=WRONG)
    assert (last.status_code, "tried 5 times" in last.text) == (410, True)
    assert await scene.credentials() == []
    assert await scene.facts() == ["secret.link.failed"] * 5


async def test_nobody_else_gets_anywhere_with_the_link(scene: Scene, browser: Browser) -> None:
    stranger = await browser.http.get(scene.path)
    assert (stranger.status_code, stranger.headers["location"].startswith("/login")) == (303, True)
    await joins_with_password(scene.house, "Bob", Role.ADMIN)
    page = await browser.logs_in(address("Bob"), path=scene.path)
    assert (page.status_code, "made for another person" in page.text) == (403, True)
    assert "mattermost" not in page.text
    for path in (scene.path, "/secret/" + "x" * 43):
        await browser.see("/")
        form = await browser.see("/account")
        assert form.status_code == 200
        refused = await browser.send(path, secret=scene.bot.token)
        assert refused.status_code in (403, 404)
    assert await scene.credentials() == []


async def test_in_another_organization_of_ones_own_there_is_no_such_link(
    scene: Scene, browser: Browser
) -> None:
    await joins(scene.house, "Ada", Role.OWNER, GLOBEX)
    await browser.logs_in(address("Ada"))
    await browser.send("/organizations", organization="globex")
    page = await browser.see(f"{scene.path}?organization=acme&tenant=acme")
    assert (page.status_code, "In this organization there is no such link" in page.text) == (404, True)
    assert "mattermost" not in page.text
    await browser.see("/organizations")
    await browser.send("/organizations", organization="acme")
    assert "bot_token" in (await browser.see(scene.path)).text


async def test_who_is_no_admin_any_more_hands_nothing_over(scene: Scene, browser: Browser) -> None:
    await joins_with_password(scene.house, "Olga", Role.OWNER)
    await browser.logs_in(address("Ada"), path=scene.path)
    await changed(scene.house, "member", scene.ada.user_id)
    page = await browser.send(scene.path, secret=scene.bot.token)
    assert (page.status_code, "this takes an admin or owner" in page.text) == (403, True)
    assert await scene.credentials() == []


async def test_a_form_of_another_site_is_refused(scene: Scene, browser: Browser) -> None:
    await browser.logs_in(address("Ada"), path=scene.path)
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    page = await browser.send(scene.path, headers=foreign, secret=scene.bot.token)
    assert page.status_code == 403
    page = await browser.http.post(scene.path, data={"secret": scene.bot.token})
    assert page.status_code == 403
    assert await scene.credentials() == []


@pytest.mark.parametrize("place", ["secret_link.begun", "secret_link.provided"])
async def test_a_death_on_the_way_costs_a_try_and_loses_no_secret(scene: Scene, place: str) -> None:
    house, ada = scene.served.front.packages, scene.ada
    given = (house, ACME, scene.token, ada.user_id, Secret(scene.bot.token), OPERATOR)
    with pytest.raises(Killed), dying_at(place):
        await hand_over(*given)
    assert await scene.credentials() == (["bot_token"] if place == "secret_link.provided" else [])
    with pytest.raises(LinkRefused, match="is being tried"):
        await hand_over(*given)
    await scene.house.tenant_rows(ACME, "update secret_links set checking_until = now()")
    assert (await open_link(house, ACME, scene.token, ada.user_id)).attempts_left == 4
    if place == "secret_link.begun":
        await hand_over(*given)
        assert await scene.facts() == ["secret.link.used"]
    assert await scene.credentials() == ["bot_token"]


async def test_whoever_changes_the_server_in_the_moment_of_handing_over_does_not_get_the_secret(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = secret_links.begin

    async def begin_then_change(session: TenantSession, token: str, *, user_id: UUID) -> secret_links.Opened:
        opened = await begin(session, token, user_id=user_id)
        await session.execute(update(Installation).values(config={"server_url": "http://127.0.0.1:9"}))
        return opened

    monkeypatch.setattr(secret_links, "begin", begin_then_change)
    given, house = Secret(scene.bot.token), scene.served.front.packages
    with pytest.raises(Conflict, match="changed at this very moment"):
        await hand_over(house, ACME, scene.token, scene.ada.user_id, given, OPERATOR)
    assert await scene.credentials() == []

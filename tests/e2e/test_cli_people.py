"""How people and programs get in, from the command line to the page and to the API."""

from __future__ import annotations

import signal

import httpx2
import pytest

from tests.command_line import CommandLine
from tests.house import ACME, bare_house, fresh_house
from tests.visiting import pages

ADA, BOB = "ada@acme.example", "bob@acme.example"
PASSWORD = "a bridge of paper boats"
BOOTSTRAP = ("bootstrap", "--org", "acme", "--owner", ADA, "--json")


async def test_an_owner_is_made_claims_logs_in_and_is_recovered() -> None:
    async with bare_house() as house:
        run = CommandLine.on(house.url, FLEETPROMPT_PUBLIC_URL="https://fleet.example.com/")
        first, second = (await run.ok(*BOOTSTRAP)).row, (await run.ok(*BOOTSTRAP)).row
        assert (first["url"], first["role"]) == ("https://fleet.example.com/claim", "owner")
        async with pages(house) as served, served.browser() as browser:
            for row, status in ((first, 400), (second, 200)):
                await browser.see("/claim")
                await browser.send("/claim", code=row["code"], password=PASSWORD, again=PASSWORD)
                assert browser.page.status_code == status
            assert "owner here" in browser.page.text
            again = (await run.ok(*BOOTSTRAP)).row
            assert (again["code"], again["url"]) == (None, "https://fleet.example.com/login")
            assert "owner here" in (await browser.see("/")).text  # it changed nothing
            lost = (await run.ok("member", "claim", ADA, "--org", "acme", "--json")).row
            await browser.see("/claim")
            await browser.send("/claim", code=lost["code"], password=PASSWORD * 2, again=PASSWORD * 2)
            await browser.see("/account")
            await browser.send("/logout")
            await browser.logs_in(ADA, PASSWORD * 2)
            assert "owner here" in browser.page.text
        names = await house.tenant_rows(ACME, "select name from signals order by id")
        claimed = ["claim.issued", "claim.redeemed"]
        assert [row[0] for row in names] == ["membership.added", "claim.issued", *claimed, *claimed]


@pytest.mark.parametrize("fault", ["organization.row_made", "membership.written", "code.issued"])
async def test_a_bootstrap_that_was_interrupted_is_finished_by_the_same_command(fault: str) -> None:
    async with bare_house() as house:
        run = CommandLine.on(house.url)
        assert (await run(*BOOTSTRAP, FLEETPROMPT_FAULT=fault)).code == -signal.SIGKILL
        assert await house.value("select count(*) from public.one_time_codes") == 0
        assert (await run.ok(*BOOTSTRAP)).row["code"]
        assert await house.value("select count(*) from public.memberships") == 1


async def test_an_organization_without_an_owner_is_reported_and_gets_one_on_the_host() -> None:
    async with fresh_house() as house:
        run = CommandLine.on(house.url)
        await run.ok(*BOOTSTRAP)
        await run.ok("member", "add", BOB, "--org", "acme")
        await house.rows("update public.memberships set status = 'suspended' where role = 'owner'")
        doctor = await run.ok("doctor", "--json")
        [found] = [row for row in doctor.rows if row["check"] == "people" and row["level"] == "warn"]
        assert (found["org"], "no active owner" in found["detail"]) == ("acme", True)
        await run.ok("member", "role", BOB, "owner", "--org", "acme")
        assert [
            row["level"] for row in (await run.ok("doctor", "--json")).rows if row["check"] == "people"
        ] == ["ok", "ok"]


async def whoami(http: httpx2.AsyncClient, token: str, path: str = "whoami") -> httpx2.Response:
    return await http.get(f"/api/v1/{path}", headers={"Authorization": f"Bearer {token}"})


async def test_a_key_speaks_for_its_member_in_its_organization_until_it_ends() -> None:
    async with (
        fresh_house() as house,
        pages(house) as served,
        httpx2.AsyncClient(base_url=served.url) as http,
    ):
        run, org = CommandLine.on(house.url), ("--org", "acme", "--json")
        await run.ok(*BOOTSTRAP)
        await run.ok("member", "add", BOB, *org)
        create = ("key", "create", "ci", "--for", ADA, "--scope", "members:read", *org)
        old = await run.ok(*create)
        plain = await run.ok("key", "create", "plain", "--for", BOB, *org)
        me = (await whoami(http, old.row["token"])).json()
        assert (me["organization"], me["name"], me["role"], me["scopes"]) == (
            "acme",
            "ada",
            "owner",
            ["members:read"],
        )
        people = await whoami(http, old.row["token"], "members?organization=globex")
        assert [one["email"] for one in people.json()["data"]] == [ADA, BOB]
        for path in ("members", "installations"):
            assert (await whoami(http, plain.row["token"], path)).status_code == 403
        new = (await run.ok("key", "rotate", old.row["id"], *org)).row
        assert [(await whoami(http, one)).status_code for one in (old.row["token"], new["token"])] == [
            401,
            200,
        ]
        refused = await run("key", "rotate", old.row["id"], *org)
        assert "ended already" in refused.err
        await run.ok("key", "revoke", new["id"], *org)
        assert (await whoami(http, new["token"])).status_code == 401
        listed = (await run.ok("key", "list", *org)).rows
        assert [(row["name"], row["revoked_at"] is None) for row in listed] == [
            ("ci", False), ("plain", True), ("ci", False),
        ]  # fmt: skip
        assert (await run.ok("key", "list", "--org", "globex", "--json")).rows == []
        await house.rows("update public.memberships set status = 'suspended' where role = 'member'")
        gone = await whoami(http, plain.row["token"])
        assert (gone.status_code, gone.json()["error"]["code"]) == (401, "unauthorized")
        stored = str(await house.rows("select * from public.api_keys"))
        assert all(one not in stored for one in (old.row["token"], new["token"], plain.row["token"]))


async def test_what_cannot_be_a_key_is_refused_with_a_sentence() -> None:
    async with fresh_house() as house:
        run, org = CommandLine.on(house.url), ("--org", "acme")
        await run.ok(*BOOTSTRAP)
        await run.ok("member", "add", BOB, *org)
        for words, said in (
            (("--for", BOB, "--scope", "members:read"), "takes an admin or owner"),
            (("--for", BOB, "--scope", "everything"), "no scope 'everything'"),
            (("--for", BOB, "--days", "5000"), "1 to 366 days"),
            (("--for", "nobody@acme.example"), "no member of acme"),
        ):
            refused = await run("key", "create", "ci", *words, *org)
            assert (refused.code, said in refused.err) == (1, True), refused.err
        for verb in ("rotate", "revoke"):
            assert "no id of a key" in (await run("key", verb, "x", *org)).err
            assert "no such key" in (await run("key", verb, "00000000-0000-0000-0000-000000000000", *org)).err

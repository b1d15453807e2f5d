"""People on the command line: owners, members, and decisions in their name."""

from __future__ import annotations

import asyncio
import signal
from uuid import uuid4

import pytest

from fleetprompt.model import Directive
from fleetprompt.model.states import DirectiveState
from tests.command_line import CommandLine, Said, is_one_line
from tests.house import ACME, GLOBEX, House, bare_house, fresh_house

MEMBER = ["user_id", "email", "name", "role", "status", "created_at"]
ADA, BOB = "ada@acme.example", "bob@acme.example"


async def listed(run: CommandLine, org: str = "acme") -> list[tuple[str, str, str]]:
    said = await run.ok("member", "list", "--org", org, "--json")
    return [(row["email"], row["role"], row["status"]) for row in said.rows]


def is_refusal(said: Said, *words: str) -> bool:
    """One line that says what to do."""
    assert (said.code, is_one_line(said.err), said.out) == (1, True, ""), said
    return all(word in said.err for word in words)


async def waiting(house: House) -> str:
    """A directive of acme that waits for approval; its id."""
    directive = Directive(
        id=uuid4(), name="mattermost.post.create", idempotency_key=uuid4().hex, arguments_digest="", arguments={},
        state=DirectiveState.AWAITING_APPROVAL, approval_reason="It costs money.", summary="fleet answers dana.",
        actor_kind="agent", actor_id="a", actor_name="fleet", correlation_id=uuid4(),
    )  # fmt: skip
    async with house.tenancy.session(ACME) as session:
        session.add(directive)
    return str(directive.id)


async def test_an_organization_is_made_with_its_owner_and_the_same_again_changes_nothing() -> None:
    async with bare_house() as house:
        run = CommandLine.on(house.url)
        create = ("org", "create", "acme", "--owner", "Ada@Acme.Example")
        await asyncio.gather(run.ok(*create), run.ok(*create))
        assert (await run.ok(*create, "--json")).row["state"] == "active"
        assert await listed(run) == [(ADA, "owner", "active")]
        added = await house.tenant_rows(ACME, "select name, actor_id from signals")
        assert [(row[0], row[1].startswith("cli:")) for row in added] == [("membership.added", True)]


async def test_no_organization_is_made_for_an_owner_who_cannot_be() -> None:
    async with bare_house() as house:
        said = await CommandLine.on(house.url)("org", "create", "acme", "--owner", "ada at acme")
        assert is_refusal(said, "is no e-mail address", "ada@acme.example")
        assert await house.value("select count(*) from public.organizations") == 0


@pytest.mark.parametrize("fault", ["organization.row_made", "organization.schema_made", "membership.written"])
async def test_the_same_command_finishes_what_a_death_interrupted(fault: str) -> None:
    async with bare_house() as house:
        run = CommandLine.on(house.url)
        create = ("org", "create", "acme", "--owner", ADA)
        assert (await run(*create, FLEETPROMPT_FAULT=fault)).code == -signal.SIGKILL
        assert await house.value("select count(*) from public.memberships") == 0
        await run.ok(*create)
        assert await listed(run) == [(ADA, "owner", "active")]
        assert len(await house.tenant_rows(ACME, "select 1 from signals")) == 1


async def test_a_member_from_the_first_day_to_the_last() -> None:
    async with fresh_house() as house:
        run, org = CommandLine.on(house.url), ("--org", "acme")
        await run.ok("member", "add", ADA, "--role", "owner", *org)
        added = await run.ok("member", "add", "BOB@acme.example", "--name", "Bob", *org, "--json")
        assert list(added.row) == MEMBER
        assert (added.row["email"], added.row["name"], added.row["role"]) == (BOB, "Bob", "member")
        raised = await run.ok("member", "role", BOB, "admin", *org)
        assert raised.out == "bob@acme.example is admin of acme, active.\n"
        await run.ok("member", "suspend", BOB, *org)
        assert await listed(run) == [(ADA, "owner", "active"), (BOB, "admin", "suspended")]
        await run.ok("member", "restore", BOB, *org)
        table = await run.ok("member", "list", *org)
        assert all(word in table.out for word in ("Bob", "admin", "active", ADA))
        await run.ok("member", "remove", BOB, *org)
        assert await listed(run) == [(ADA, "owner", "active")]
        names = await house.tenant_rows(ACME, "select name from signals order by id")
        assert [row[0].removeprefix("membership.") for row in names] == [
            "added", "added", "role_changed", "suspended", "restored", "removed",
        ]  # fmt: skip


async def test_each_refusal_is_one_line_that_says_what_to_do() -> None:
    async with fresh_house() as house:
        run, org = CommandLine.on(house.url), ("--org", "acme")
        await run.ok("member", "add", ADA, "--role", "owner", *org)
        last, demoted, foreign, unknown, again, wrong = await asyncio.gather(
            run("member", "remove", ADA, *org),
            run("member", "role", ADA, "member", *org),
            run("member", "suspend", ADA, "--org", "globex"),
            run("member", "restore", BOB, *org),
            run("member", "add", ADA, *org),
            run("member", "role", ADA, "emperor", *org),
        )
        for said in (last, demoted):
            assert is_refusal(said, "the last active owner of acme", "fleetprompt member role EMAIL owner")
        assert is_refusal(foreign, "no member of globex")
        assert is_refusal(unknown, "no member of acme", "fleetprompt member list")
        assert is_refusal(again, "is owner of acme already", f"fleetprompt member role {ADA} member")
        assert wrong.code == 2
        assert (await listed(run), await listed(run, "globex")) == ([(ADA, "owner", "active")], [])


async def test_a_directive_is_decided_by_a_member_with_the_right() -> None:
    async with fresh_house() as house:
        run, org = CommandLine.on(house.url), ("--org", "acme")
        first, second = await waiting(house), await waiting(house)
        await run.ok("member", "add", ADA, "--name", "Ada", "--role", "owner", *org)
        bob = await run.ok("member", "add", BOB, "--name", "Bob", *org, "--json")
        refused = await run("directives", "approve", first, *org, "--by", BOB)
        assert is_refusal(refused, "Bob is member of acme", "an admin or owner. Ask Ada.")
        await run.ok("member", "role", BOB, "admin", *org)
        approved, rejected = await asyncio.gather(
            run.ok("directives", "approve", first, *org, "--by", BOB, "--json"),
            run.ok("directives", "reject", second, *org, "--by", ADA, "--reason", "no", "--json"),
        )
        user = f"user:{bob.row['user_id']}"
        assert (approved.row["state"], approved.row["approved_by"]) == ("requested", f"human:{user}")
        assert rejected.row["state"] == "canceled"
        who = "select actor_id from signals where name = 'directive.approved'"
        assert [row[0] for row in await house.tenant_rows(ACME, who)] == [user]
        stranger = await run("directives", "resolve", first, *org, "--sent", "--by", "eve@acme.example")
        assert is_refusal(stranger, "eve@acme.example is no member of acme")
        assert await house.tenant_rows(GLOBEX, "select 1 from signals") == []

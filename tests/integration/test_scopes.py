"""The gate's fixed order: the agent's tools, granted scopes, the organization's quota, the right of whoever asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

import fleetprompt.runtime.llm.wire  # noqa: F401 (takes longer than the lease of a run that imports it)
from fleetprompt.accounts import Member, Role
from fleetprompt.kernel.errors import InvalidInput
from fleetprompt.model import Agent, Installation
from fleetprompt.packages import grants
from fleetprompt.runtime.agents.manage import set_agent
from fleetprompt.runtime.directives.decide import approve
from fleetprompt.runtime.trace import find_trace
from fleetprompt.runtime.trace_text import trace_lines
from fleetprompt.tenancy.limits import set_limits
from tests.connected import until
from tests.house import ACME
from tests.members import changed, joins
from tests.openai_stub import Reply
from tests.people import link_code, links
from tests.provided import HOST, LOOK, greeter, installed, provides
from tests.stage import OPERATOR, SERVER, Stage, stage

LOOKUP = ("orders.lookup", {"number": "1042"})
HOLD = ("orders.hold", {"number": "1042"})
WRITE = {**LOOK, "scope": "orders:write", "access": "write"}
BOTH = greeter(
    provides={"agents": [{**HOST, "tools": ["orders.lookup", "orders.hold"]}]}, permissions=[LOOK, WRITE]
)


@pytest.fixture
async def play() -> AsyncIterator[Stage]:
    async with stage() as opened:
        yield opened


async def asked(
    play: Stage, text: str, *calls: tuple[str, dict[str, str]], ends: str = "succeeded"
) -> list[tuple[str, str]]:
    """A person asks, the model calls; returns (state, result) of each call, in order."""
    before, at_ms = len(await play.executions()), 10_000 + len(play.stub.requests)
    play.stub.script([Reply.calls(*calls), Reply.says("That is all.")])
    await play.says(text, at_ms=at_ms)

    async def over() -> bool:
        runs = await play.executions()
        return len(runs) > before and runs[-1].state == ends

    await until(over, 40)
    run = (await play.executions())[-1]
    rows = await play.house.tenant_rows(
        ACME, "select state, result from tool_calls where execution_id = $1 order by index", run.id
    )
    return [(row["state"], row["result"]) for row in rows]


async def set_policies(play: Stage, name: str = "fleet", **policies: Any) -> None:
    async with play.house.tenancy.session(ACME) as session:
        await set_agent(session, play.registry, name, OPERATOR, {"policies": policies})


async def linked(play: Stage, role: Role, subject: str = "u1") -> Member:
    """A member whose account writes on the stage."""
    member = await joins(play.house, subject, role)
    code = await link_code(play.house, member)
    await links(play.house, code.code.reveal(), subject, connector="testchat", server_key=SERVER)
    return member


async def test_a_scope_that_nobody_granted_is_denied_and_the_model_and_the_trace_say_why(play: Stage) -> None:
    await provides(play, await installed(play))
    [(state, reason)] = await asked(play, "host, where is 1042?", LOOKUP)
    assert state == "refused"
    assert "orders.lookup needs the scope orders:read, which is not granted to greeter" in reason
    assert "fleetprompt package configure greeter --grant orders:read" in reason
    assert reason in str(play.stub.requests[-1].json)
    assert play.looked_up == []
    run = (await play.executions())[-1]
    traced = await find_trace(play.house.tenancy, ACME, str(run.correlation_id))
    assert any("refused" in line and reason in line for line in trace_lines(traced))


async def test_only_the_grants_of_the_package_that_gave_the_tool_count(play: Stage) -> None:
    mine, other = await installed(play), await installed(play, "other", host_name="greta")
    await provides(play, mine)
    await provides(play, other, grants=["orders:read"])
    assert (await asked(play, "host, where is 1042?", LOOKUP))[0][0] == "refused"
    assert (await asked(play, "greta, where is 1042?", LOOKUP))[0][0] == "done"
    await provides(play, mine, grants=["orders:read"])
    assert (await asked(play, "host, where is 1042?", LOOKUP))[0][0] == "done"
    async with play.house.tenancy.session(ACME) as session:
        await grants.revoke(session, mine, greeter(), ["orders:read"])
    assert (await asked(play, "host, where is 1042?", LOOKUP))[0][0] == "refused"


async def test_who_gives_an_agent_a_tool_grants_it_the_scope(play: Stage) -> None:
    await provides(play, await installed(play))
    async with play.house.tenancy.session(ACME) as session:
        tools = {"tools": ["orders.lookup", "orders.hold"]}
        host = await set_agent(session, play.registry, "host", OPERATOR, tools)
        assert host.scopes == ["orders:write"]  # the other is its package's, and was not granted to that
    states = [state for state, _ in await asked(play, "host, look and hold", LOOKUP, HOLD)]
    assert states == ["refused", "done"]
    assert len(play.holds.entries) == 1


async def test_an_agent_made_before_its_tool_needed_a_scope_is_refused_until_somebody_grants_it(
    play: Stage,
) -> None:
    async with play.house.tenancy.session(ACME) as session:
        await session.execute(update(Agent).values(scopes=[]))
    [(state, reason)] = await asked(play, "where is 1042?", LOOKUP)
    assert (state, "not granted to fleet" in reason, "agent set" in reason) == ("refused", True, True)
    async with play.house.tenancy.session(ACME) as session:
        await set_agent(session, play.registry, "fleet", OPERATOR, {"tools": ["orders.lookup"]})
    assert (await asked(play, "where is 1042?", LOOKUP))[0][0] == "done"


async def _waits(play: Stage, of: UUID) -> object:
    """A hold of the package's agent that waits for approval."""
    await provides(play, of, BOTH, grants=["orders:read", "orders:write"])
    await set_policies(play, "host", approval={"*": "ask"})
    assert (await asked(play, "host, hold 1042", HOLD, ends="waiting"))[0][0] == "waiting"
    return next(one.id for one in await play.directives() if one.name == "orders.hold")


async def test_an_approval_is_void_once_the_scope_is_taken_back(play: Stage) -> None:
    of = await installed(play)
    held = await _waits(play, of)
    async with play.house.tenancy.session(ACME) as session:
        await grants.revoke(session, of, BOTH, ["orders:write"])
        await approve(session, play.registry, held, OPERATOR)  # type: ignore[arg-type]
    await play.run_in_state("succeeded")
    assert play.holds.entries == []


async def test_an_approval_is_void_once_the_package_is_disabled(play: Stage) -> None:
    of = await installed(play)
    held = await _waits(play, of)
    async with play.house.tenancy.session(ACME) as session:
        await session.execute(update(Installation).where(Installation.id == of).values(state="disabled"))
    async with play.house.tenancy.session(ACME) as session:
        await approve(session, play.registry, held, OPERATOR)  # type: ignore[arg-type]
    await play.run_in_state("succeeded")
    assert play.holds.entries == []


async def test_an_organization_has_so_many_tool_calls_an_hour(play: Stage) -> None:
    await set_limits(play.house.database, ACME, {"tool_calls_per_hour": 2})
    assert [state for state, _ in await asked(play, "once", LOOKUP)] == ["done"]
    verdicts = await asked(play, "twice more", LOOKUP, LOOKUP)
    assert [state for state, _ in verdicts] == ["done", "refused"]
    assert "used up its tool calls of this hour" in verdicts[1][1]


async def test_a_tool_may_be_for_admins_alone_who_are_known_by_their_link(play: Stage) -> None:
    await set_policies(play, initiators={"orders.hold": "admin"})
    [(state, reason)] = await asked(play, "hold it", HOLD)
    assert (state, "admins and owners alone" in reason, "nobody's linked account" in reason) == (
        "refused",
        True,
        True,
    )
    member = await linked(play, Role.MEMBER)
    [(state, reason)] = await asked(play, "hold it now", HOLD)
    assert (state, "of a member" in reason) == ("refused", True)
    await changed(play.house, "admin", member.user_id)
    assert (await asked(play, "hold it at last", HOLD))[0][0] == "done"
    assert (await asked(play, "and where is it?", LOOKUP))[0][0] == "done"  # no policy speaks of it
    assert len(play.holds.entries) == 1


async def test_a_link_of_another_server_or_connector_is_nobodys_here(play: Stage) -> None:
    await set_policies(play, initiators={"*": "member"})
    owner = await joins(play.house, "owner", Role.OWNER)
    for connector, server_key in (("testchat", "https://else.example"), ("mattermost", SERVER)):
        code = await link_code(play.house, owner)
        await links(play.house, code.code.reveal(), "u1", connector=connector, server_key=server_key)
    assert (await asked(play, "where is 1042?", LOOKUP))[0][0] == "refused"


async def test_who_loses_the_role_while_it_waits_had_it_done_in_vain(play: Stage) -> None:
    member = await linked(play, Role.ADMIN)
    await set_policies(play, initiators={"orders.hold": "admin"}, approval={"*": "ask"})
    assert (await asked(play, "hold it", HOLD, ends="waiting"))[0][0] == "waiting"
    held = next(one.id for one in await play.directives() if one.name == "orders.hold")
    await changed(play.house, "member", member.user_id)
    async with play.house.tenancy.session(ACME) as session:
        await approve(session, play.registry, held, OPERATOR)  # type: ignore[arg-type]
    await play.run_in_state("succeeded")
    assert play.holds.entries == []


async def test_an_agent_may_answer_members_alone(play: Stage) -> None:
    await set_policies(play, asked_by="member")
    await play.says("where is 1042?")
    [said] = await play.chat.wait_for(1)
    assert "fleet answers certain members of your organization alone" in said
    assert await play.executions() == []
    await linked(play, Role.MEMBER)
    assert (await asked(play, "where is 1042 now?", LOOKUP))[0][0] == "done"


async def test_a_policy_that_names_no_role_or_no_tool_is_refused(play: Stage) -> None:
    wrong: tuple[dict[str, Any], ...] = (
        {"initiators": {"orders.hold": "king"}},
        {"initiators": {"orders.hodl": "admin"}},
    )
    for policy in wrong:
        with pytest.raises(InvalidInput):
            await set_policies(play, **policy)


async def test_the_scope_is_judged_before_the_quota_and_the_quota_before_the_person(play: Stage) -> None:
    await set_policies(play, initiators={"*": "owner"})
    await set_limits(play.house.database, ACME, {"tool_calls_per_hour": 0})
    assert "tool calls of this hour" in (await asked(play, "where?", LOOKUP))[0][1]
    async with play.house.tenancy.session(ACME) as session:
        await session.execute(update(Agent).values(scopes=[]))
    assert "needs the scope" in (await asked(play, "where now?", LOOKUP))[0][1]
    async with play.house.tenancy.session(ACME) as session:
        await set_agent(session, play.registry, "fleet", OPERATOR, {"tools": ["orders.hold"]})
    assert "There is no tool" in (await asked(play, "where at last?", LOOKUP))[0][1]

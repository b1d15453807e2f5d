"""What a command does: settings, rest, removal, secrets, decisions; said again it does nothing twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from fleetprompt.accounts import identities
from fleetprompt.kernel.ids import new_id
from fleetprompt.model import Conversation
from fleetprompt.model.states import AgentState
from fleetprompt.packages.commands import register
from fleetprompt.packages.commands.register import OBEY
from fleetprompt.runtime.agents.manage import create_agent, list_agents, set_agent_state
from fleetprompt.runtime.directives import NewDirective, request
from fleetprompt.runtime.jobs import NewJob, enqueue
from fleetprompt.runtime.signals import Actor, NewSignal, emit
from tests.commanding import LINK, Office, code_in, drain, office
from tests.connected import OPERATOR
from tests.house import ACME


@pytest.fixture
async def desk() -> AsyncIterator[Office]:
    async with office() as made:
        yield made


async def hear(desk: Office, text: str, author: dict[str, str] | None = None, **more: Any) -> UUID:
    """A message of the chat as the connector stores it, in a thread of its own; its handlers are on their way."""
    root = new_id().hex[:26]
    async with desk.stage.house.tenancy.session(ACME) as session:
        conversation = Conversation(
            id=new_id(), installation_id=desk.installation.id, channel_id=desk.stage.support.id,
            thread_id="", channel_kind="public", channel_name="support",
        )  # fmt: skip
        conversation.thread_id = desk.stage.server.post(desk.olga, desk.stage.support, text).id
        session.add(conversation)
        await session.flush()
        payload: dict[str, Any] = {
            "external_id": root,
            "author": author or {"id": desk.olga.id, "kind": "person", "name": "olga"},
            "place": {
                "channel_id": desk.stage.support.id,
                "channel_kind": "public",
                "thread_id": conversation.thread_id,
            },
            "text": text,
            "request": text,
            "addressed": True,
            "allowed_automation": True,
            "sent_at_ms": 1,
            **more,
        }
        new = NewSignal(
            "chat.message.received", payload, Actor("human", payload["author"]["id"]),
            installation_id=desk.installation.id, conversation_id=conversation.id,
            lane=f"conversation:{conversation.id}", position=1,
        )  # fmt: skip
        return (await emit(session, desk.stage.house.registry, new)).id


async def directives(desk: Office, name: str) -> list[str]:
    rows = await desk.stage.base.tenant_rows(ACME, "select state from directives where name = $1", name)
    return [row["state"] for row in rows]


async def test_settings_are_changed_with_a_diff_and_shown(desk: Office) -> None:
    answer = await desk.says("configure mattermost follow_threads=true post_burst=7")
    assert "`follow_threads`: `false` becomes `true`" in answer
    assert "`post_burst`: `20` becomes `7`" in answer
    await desk.says(f"confirm {(answer.rsplit(' ', 1)[1]).strip('`')}")
    await desk.drain()
    plan = await desk.one("select * from plans")
    assert (plan["error"], plan["finished_at"] is not None) == (None, True)
    assert "`post_burst=7`" in await desk.says("configure mattermost")
    assert "in force already" in await desk.says("configure mattermost post_burst=7")
    channel = desk.stage.server.direct_channel(desk.stage.bot, desk.olga)
    [told] = [post.message for post in desk.stage.server.posts(channel.id)]
    assert "is configured" in told


async def test_an_installation_is_put_to_rest_and_removed_only_after_a_yes(desk: Office) -> None:
    asked = await desk.says("disable mattermost")
    assert "where you write to me" in asked
    assert await desk.says(f"confirm {code_in(asked)}") == ""
    await desk.drain()
    assert await directives(desk, "package.disable") == ["succeeded"]
    assert "disabled" in await desk.says("status")
    for _ in range(2):
        assert await desk.says("enable mattermost", key="two") == ""
    await desk.drain()
    assert "**installed**" in await desk.says("status mattermost")
    code = await desk.code("uninstall mattermost")
    assert await directives(desk, "package.uninstall") == []
    await desk.says(f"confirm {code}")
    await desk.drain()
    assert await directives(desk, "package.uninstall") == ["succeeded"]
    assert "Nothing is installed" in await desk.says("status")


async def test_a_link_for_a_secret_goes_to_the_person_alone_and_stands_in_no_table(desk: Office) -> None:
    for _ in range(2):
        assert "direct message" in await desk.says("secret mattermost bot_token", key="same")
        await desk.drain()
    channel = desk.stage.server.direct_channel(desk.stage.bot, desk.olga)
    [post] = desk.stage.server.posts(channel.id)
    found = LINK.search(post.message)
    assert found is not None
    assert desk.said.count(post.message) == 1
    assert await desk.tables_with(found[1]) == []
    assert "directives" in await desk.tables_with("bot_token")
    await desk.nothing_of_globex()


async def test_each_check_is_shown_and_what_happened(desk: Office) -> None:
    told = await desk.says("test mattermost")
    assert "✅ token" in told
    desk.stage.server.revoke(desk.stage.bot)
    assert "❌ token" in await desk.says("test")
    await desk.says("configure mattermost post_burst=7")
    lately = await desk.says("audit")
    assert "package.plan.proposed" in lately
    row = await desk.one("select id from signals where name = 'package.plan.proposed'")
    assert "package.plan.proposed" in await desk.says(f"audit {row['id']}")
    code = (await desk.one("select code from plans"))["code"]
    assert "configure mattermost post_burst=7" in await desk.says(f"audit {code}")
    await desk.says(f"confirm {code}")
    await desk.drain()
    told = await desk.says(f"audit {code}")
    assert "- confirmed 2" in told
    assert "directive package.configure" in told


async def test_what_waits_for_a_person_is_decided_by_chat(desk: Office) -> None:
    ids = []
    for number in range(2):
        new = NewDirective(
            "mattermost.post.create", f"ask:{number}",
            {"channel_id": desk.stage.support.id, "text": f"asked {number}"}, f"Post {number}.", OPERATOR,
            installation_id=desk.installation.id, approval_reason="A test asks.",
        )  # fmt: skip
        async with desk.stage.house.tenancy.session(ACME) as session:
            ids.append((await request(session, desk.stage.house.registry, new)).id)
    assert await desk.says(f"approve {ids[0]}") == "Approved: Post 0."
    assert await desk.says(f"approve {ids[0]}") == "Approved: Post 0."
    assert await desk.says(f"reject {ids[1]} not today") == "Rejected: Post 1."
    assert "canceled" in await desk.says(f"approve {ids[1]}")
    await desk.drain()
    assert "asked 0" in desk.said
    assert "asked 1" not in desk.said


async def test_a_message_that_comes_again_gets_one_answer_and_no_agent_hears_of_it(desk: Office) -> None:
    signal_id = await hear(desk, "status")
    await desk.drain()
    async with desk.stage.house.tenancy.session(ACME) as session:
        await enqueue(session, NewJob(OBEY, {"signal_id": str(signal_id)}))
    await desk.drain()
    [answer] = desk.said
    assert "**installed**" in answer
    assert await desk.stage.base.tenant_rows(ACME, "select 1 from executions") == []


async def test_a_command_that_breaks_is_answered_all_the_same(
    desk: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(*_: object) -> str:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(register, "obey", breaks)
    await hear(desk, "status")
    await drain(desk.stage.house, kinds="signal.handle")
    await desk.stage.base.rows("update public.job set max_attempts = attempt + 1, scheduled_at = now()")
    await desk.drain()
    assert [text for text in desk.said if "by a fault of ours" in text]


async def test_no_machine_and_no_stranger_is_ever_obeyed(desk: Office) -> None:
    async with desk.stage.house.tenancy.session(ACME) as session:
        await create_agent(session, desk.stage.house.registry, "helper", OPERATOR, model="builtin")
    code = await desk.code("configure mattermost post_burst=7")
    for text in ("pause-all", f"confirm {code}", "uninstall mattermost"):
        for kind in ("bot", "webhook", "self", "system"):
            await hear(desk, text, {"id": desk.olga.id, "kind": kind, "name": "olga"})
        await hear(desk, text, third_party=True)
        await hear(desk, text, addressed=False)
    await desk.stage.base.rows("delete from public.job where kind not in ('signal.handle', 'command.obey')")
    await desk.stage.base.rows("update public.job set scheduled_at = now()")
    waiting = "select 1 from public.job where kind = 'command.obey'"
    await drain(desk.stage.house, kinds="signal.handle")
    assert await desk.stage.base.rows(waiting) == []
    async with desk.stage.house.tenancy.session(ACME) as session:
        assert [agent.state for agent in await list_agents(session)] == ["active"]
    assert (await desk.one("select confirmed_at from plans"))["confirmed_at"] is None
    assert "Paused: `helper`" in await desk.says("pause-all")
    async with desk.stage.house.tenancy.session(ACME) as session:
        assert [agent.state for agent in await list_agents(session)] == ["paused"]


async def test_whoever_paused_all_lets_them_go_on_but_whom_the_operator_paused_stays(desk: Office) -> None:
    house = desk.stage.house
    async with house.tenancy.session(ACME) as session:
        for name in ("night", "clerk"):
            await create_agent(session, house.registry, name, OPERATOR)
        await set_agent_state(session, house.registry, "night", OPERATOR, AgentState.PAUSED)
    assert "Nobody was paused" in await desk.says("pause-all off")
    assert "pause-all off" in await desk.says("pause-all")
    said = await desk.says("pause-all off")
    assert "The operator paused `night`" in said
    async with house.tenancy.session(ACME) as session:
        states = {agent.name: agent.state for agent in await list_agents(session)}
    assert states.pop("night") == "paused"
    assert set(states.values()) == {"active"}


async def test_an_account_is_linked_in_a_direct_message_alone(desk: Office) -> None:
    async def code() -> str:
        async with desk.stage.house.tenancy.session(ACME) as session:
            return (await identities.issue_link(session, desk.users["mia"])).code.reveal()

    seen = await code()
    assert "void" in await desk.says(f"link {seen}", desk.sam)
    assert "used already" in await desk.says(f"link {seen}", desk.sam, direct=True)
    said = await desk.says(f"link {await code()}", desk.sam, direct=True)
    assert "You are Mia from now on" in said
    assert "You are Mia, member" in await desk.says("whoami", desk.sam)
    assert "nobody's" in await desk.says("unlink", desk.sam)
    assert "/link" in await desk.says("whoami", desk.sam)

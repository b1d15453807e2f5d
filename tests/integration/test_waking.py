"""Who wakes an agent, and what they are told when nobody answers."""

from __future__ import annotations

from fleetprompt.runtime.agents.manage import create_agent
from tests.house import ACME
from tests.openai_stub import Reply
from tests.stage import OPERATOR, running_worker, stage

BOT = {"id": "b1", "kind": "bot", "name": "deploybot"}


async def test_machines_get_three_answers_however_fast_they_ask_until_a_person_speaks() -> None:
    async with stage(working=False) as play:
        play.stub.rule(lambda _: Reply.says("hm"))
        for number in range(8):
            await play.says(
                "again", at_ms=1000, external_id=f"b{number}", author=BOT, allowed_automation=True
            )
        async with running_worker(play):
            await play.chat.wait_for(3)
            await play.says("stop it", at_ms=2000, addressed=False)
            await play.says("again", at_ms=3000, author=BOT, allowed_automation=True)
            assert len(await play.chat.wait_for(4)) == 4
        requested = await play.house.tenant_rows(
            ACME, "select actor_kind from signals where name = 'agent.execution.requested'"
        )
        assert len(requested) == 4


async def test_with_several_agents_and_no_default_a_person_is_asked_whom_they_mean() -> None:
    async with stage() as play:
        async with play.house.tenancy.session(ACME) as session:
            await create_agent(session, play.registry, "triage", OPERATOR)
        await play.says("hello")
        (sentence,) = await play.chat.wait_for(1)
        assert "`fleet`, `triage`" in sentence
        play.stub.script([Reply.says("Triage here.")])
        await play.says("triage, hello", at_ms=2000)
        assert (await play.chat.wait_for(2))[1] == "Triage here."

"""Slash commands over real HTTP: the sandbox Mattermost sends them, a worker carries them out."""

from __future__ import annotations

from fleetprompt.kernel.clock import monotonic_s
from fleetprompt.runtime.agents.manage import create_agent
from tests.connected import OPERATOR, until, working
from tests.doors import open_doors
from tests.house import ACME


async def test_an_ordinary_request_reaches_the_agent_and_its_answer_comes_directly() -> None:
    async with open_doors() as doors, working(doors.stage.house):
        async with doors.stage.house.tenancy.session(ACME) as session:
            await create_agent(session, doors.stage.house.registry, "helper", OPERATOR)
        began_s = monotonic_s()
        answer = await doors.stage.server.run_command(
            "dana", "support", "/fleet what can you do for me today"
        )
        assert monotonic_s() - began_s < 3
        assert answer["response_type"] == "ephemeral"
        assert answer["text"]

        async def told() -> list[str]:
            return doors.told_directly()

        assert len(await until(told)) == 1
        assert doors.stage.server.posts("support") == [
            p for p in doors.stage.server.posts("support") if p.type or p.user_id != doors.stage.bot.id
        ]

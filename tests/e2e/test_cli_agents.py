"""Agents on the command line."""

from __future__ import annotations

import asyncio

from tests.command_line import CommandLine, is_one_line
from tests.house import ACME, GLOBEX, fresh_house

FIELDS = {
    "id", "name", "state", "purpose", "tools", "scopes", "installation_id", "model", "limits", "policies", "created_at",
    "updated_at",
}  # fmt: skip


async def test_an_agent_is_made_changed_paused_and_retired_and_no_other_tenant_sees_it() -> None:
    async with fresh_house() as house:
        run = CommandLine.on(house.url, FLEETPROMPT_ORDER_DESK_URL="http://127.0.0.1:1")
        made = await run.ok(
            "agent", "create", "Helper", "--org", "acme", "--purpose", "Helps", "--tool", "orders.lookup",
            "--limit", "max_steps=4", "--policy", "follow_threads=true", "--json",
        )  # fmt: skip
        assert made.row["limits"] == {"max_steps": 4}
        assert made.row["policies"] == {"follow_threads": True}
        assert (made.row["tools"], made.row["scopes"]) == (["orders.lookup"], ["orders:read"])
        changed = await run.ok(
            "agent", "set", "helper", "--org", "acme", "--limit", "max_cost_usd=0.1", "--instructions", "Be brief",
            "--no-tools", "--json",
        )  # fmt: skip
        assert changed.row["limits"] == {"max_steps": 4, "max_cost_usd": "0.1"}
        assert (changed.row["tools"], changed.row["scopes"], changed.row["purpose"]) == ([], [], "Helps")
        await run.ok("agent", "pause", "Helper", "--org", "acme")
        listed, shown, others = await asyncio.gather(
            run.ok("agent", "list", "--org", "acme", "--json"),
            run.ok("agent", "show", "Helper", "--org", "acme", "--json"),
            run.ok("agent", "list", "--org", "globex", "--json"),
        )
        assert set(listed.row) == FIELDS
        assert listed.row["state"] == "paused"
        assert shown.row["instructions"] == "Be brief"
        assert others.rows == []
        await run.ok("agent", "archive", "Helper", "--org", "acme")
        assert (await run.ok("agent", "list", "--org", "acme", "--json")).rows == []
        names = await house.tenant_rows(ACME, "select name, actor_kind, actor_id from signals order by id")
        assert [name for name, _, _ in names] == [
            "agent.created",
            "agent.configured",
            "agent.paused",
            "agent.archived",
        ]
        assert {kind for _, kind, _ in names} == {"human"}
        assert all(actor.startswith("cli:") for _, _, actor in names)
        assert await house.tenant_rows(GLOBEX, "select 1 from agents") == []


REFUSED = [
    (("--tool", "orders.lokup"), "orders.lookup"),
    (("--limit", "max_stebs=4"), "max_steps"),
    (("--limit", "max_steps=many"), "max_steps"),
    (("--limit", "max_steps"), "KEY=VALUE"),
    (("--policy", "aproval=ask"), "approval"),
    (("--model", "openai:gpt-5"), "FLEETPROMPT_MODEL"),
]


async def test_what_cannot_be_is_refused_with_what_can() -> None:
    async with fresh_house() as house:
        run = CommandLine.on(house.url, FLEETPROMPT_ORDER_DESK_URL="http://127.0.0.1:1")
        create = ("agent", "create", "Helper", "--org", "acme")
        answers = await asyncio.gather(*(run(*create, *words) for words, _ in REFUSED))
        for said, (words, advice) in zip(answers, REFUSED, strict=True):
            assert said.code == 1, (words, said)
            assert is_one_line(said.err), (words, said)
            assert advice in said.err, (words, said)
        assert await house.tenant_rows(ACME, "select 1 from agents") == []

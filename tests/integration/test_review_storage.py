"""What grows is removed in the end, and what is asked for often is found by an index."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from fleetprompt.runtime import retention
from fleetprompt.runtime.jobs import NewJob, claim
from fleetprompt.runtime.jobs.run import run_job
from fleetprompt.runtime.registry import Registry
from tests.house import ACME, GLOBEX, House, fresh_house
from tests.jobs import add

OFTEN = {
    "runs of a person in the last hour": (
        "select count(*) from executions where agent_id = $1 and created_at > now() - interval '1 h'",
        "executions_agent",
    ),
    "all runs in the last hour": (
        "select count(*) from executions where created_at > now() - interval '1 h'",
        "executions_created",
    ),
    "what all runs cost today": (
        "select sum(cost_usd) from model_calls where created_at >= date_trunc('day', now(), 'UTC')"
        " and cost_usd is not null",
        "model_calls_created",
    ),
    "runs that machines asked for": (
        "select count(*) from executions where conversation_id = $1 and position > 5",
        "executions_conversation",
    ),
    "the call that waits for a directive": (
        "select 1 from tool_calls where directive_id = $1 and state = 'waiting'",
        "tool_calls_directive",
    ),
    "approvals that ran out": (
        "select 1 from directives where state = 'awaiting_approval' and approval_expires_at < now()",
        "directives_approval",
    ),
    "directives of an installation": (
        "select count(*) from directives where installation_id = $1 and state = 'failed'",
        "directives_installation",
    ),
}


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with fresh_house() as made:
        yield made


@pytest.mark.parametrize("name", OFTEN)
async def test_what_is_asked_for_often_has_an_index(house: House, name: str) -> None:
    question, index = OFTEN[name]
    connection = await house.database.connect_raw()
    try:
        await connection.execute("set role r_org_acme; set search_path to org_acme; set enable_seqscan = off")
        asked = question.replace("$1", "'01a1fec0-0000-7000-8000-000000000000'")
        plan = "\n".join(row[0] for row in await connection.fetch(f"explain {asked}"))
    finally:
        await connection.close()
    assert index in plan


async def fill(house: House, days: int, state: str = "succeeded") -> None:
    """One of each kind of record, so many days old."""
    made = UUID(int=retention.oldest_id(days).int | secrets.randbits(70))
    directive_state = "requested" if state == "queued" else state
    statements = (
        "insert into agents values ('01a1fec0-0000-7000-8000-000000000000', 'fleet', '', '', '{}', null, '{}', '{}',"
        " 'active') on conflict do nothing",
        f"insert into conversations (id, installation_id, channel_id, thread_id, channel_kind, channel_name)"
        f" values ('{made}', '{made}', 'c', '', 'public', '')",
        f"insert into messages (id, conversation_id, installation_id, external_id, author_kind, author_id,"
        f" author_name, text, sent_at_ms) values ('{made}', '{made}', '{made}', 'm', 'person', 'u', 'u', 'said', 1)",
        f"insert into executions (id, agent_id, idempotency_key, correlation_id, state, input, model, limits)"
        f" select '{made}', id, '{made}', '{made}', '{state}', '{{}}', '', '{{}}' from agents",
        f"insert into model_calls (id, execution_id, step, model, outcome) values ('{made}', '{made}', 0, '', 'answered')",
        f"insert into directives (id, name, idempotency_key, state, arguments, arguments_digest, summary,"
        f" actor_kind, actor_id, actor_name, correlation_id) values ('{made}', 'n', '{made}', '{directive_state}',"
        f" '{{}}', '', '', 'system', '', '', '{made}')",
        f"insert into effects (id, directive_id, part, key, state, request)"
        f" values ('{made}', '{made}', 0, '{made}', 'sent', '{{}}')",
    )
    for statement in statements:
        await house.tenant_rows(ACME, statement)


async def counts(house: House) -> dict[str, int]:
    tables = (
        "conversations",
        "messages",
        "executions",
        "model_calls",
        "directives",
        "effects",
    )
    return {t: (await house.tenant_rows(ACME, f"select count(*) from {t}"))[0][0] for t in tables}


async def retain(house: House) -> None:
    registry = Registry()
    registry.add_job(retention.retention_kind(standard_days=30))
    await add(house, NewJob(retention.NAME, {}))
    [job] = await claim.claim(house.database, "w", [retention.NAME], 1, 30.0)
    assert await run_job(house.tenancy, registry.jobs, "w", job) == "finished"


async def test_records_are_removed_when_they_are_over_and_old(house: House) -> None:
    for days in (1, 364, 366, 3649, 3651):
        await fill(house, days)
    await retain(house)
    assert await counts(house) == {
        "conversations": 2,
        "messages": 2,
        "executions": 2,
        "model_calls": 2,
        "directives": 4,
        "effects": 4,
    }


async def test_what_is_not_over_stays_however_old_it_is(house: House) -> None:
    await fill(house, 5000, "queued")
    await retain(house)
    kept = await counts(house)
    assert (kept["executions"], kept["directives"], kept["effects"]) == (1, 1, 1)


async def test_dead_letters_of_the_tenant_are_removed_after_a_month(house: House) -> None:
    for tenant in (ACME, GLOBEX):
        await add(house, NewJob("old", {}), NewJob("young", {}), NewJob("alive", {}), tenant=tenant)
    await house.rows("update public.job set state = 'dead', finished_at = now() where kind <> 'alive'")
    await house.rows(
        "update public.job set finished_at = now() - interval '31 days', created_at = now() - interval '99 days'"
        " where kind <> 'young'"
    )
    await retain(house)
    left = await house.rows("select tenant, kind from public.job order by 1, 2")
    assert [f"{row[0]} {row[1]}" for row in left] == [
        "acme alive",
        "acme young",
        "globex alive",
        "globex old",
        "globex young",
    ]

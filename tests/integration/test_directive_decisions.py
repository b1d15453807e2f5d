"""What people decide about directives: approve, reject, cancel, retry, resolve; and what time decides."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from fleetprompt.kernel.errors import Conflict, NotFound
from fleetprompt.kernel.ids import DirectiveId, TenantSlug, new_id
from fleetprompt.model.states import DirectiveState
from fleetprompt.runtime.directives import Requested, decide
from fleetprompt.runtime.jobs import claim
from fleetprompt.runtime.registry import Registry
from tests.directives import (
    PERSON,
    FarSide,
    ask,
    effects,
    registry_for,
    run_once,
    run_out,
    signals,
    the_directive,
)
from tests.house import ACME, GLOBEX, House


@pytest.fixture
def far(tmp_path: Path) -> FarSide:
    return FarSide(tmp_path / "ledger")


Decision = Callable[..., Awaitable[Any]]
DECISIONS: dict[str, tuple[Decision, dict[str, Any]]] = {
    "approve": (decide.approve, {}),
    "reject": (decide.reject, {"reason": "no"}),
    "cancel": (decide.cancel, {}),
    "retry": (decide.retry, {}),
    "resolve sent": (decide.resolve, {"sent": True}),
    "resolve not sent": (decide.resolve, {"sent": False}),
}
TAKEN_IN = {
    "approve": {"awaiting_approval"},
    "reject": {"awaiting_approval"},
    "cancel": {"awaiting_approval", "requested"},
    "retry": {"failed"},
    "resolve sent": {"outcome_unknown"},
    "resolve not sent": {"outcome_unknown"},
}


async def decided(
    house: House, registry: Registry, decision: str, directive_id: DirectiveId, tenant: TenantSlug = ACME
) -> None:
    act, values = DECISIONS[decision]
    async with house.tenancy.session(tenant) as session:
        await act(session, registry, directive_id, PERSON, **values)


async def asked_first(house: House, registry: Registry, **values: Any) -> Requested:
    return await ask(house, registry, approval_reason="It costs money.", **values)


async def state(house: House) -> str:
    return str((await the_directive(house))["state"])


async def test_one_that_needs_approval_does_nothing_until_then(house: House, far: FarSide) -> None:
    registry = registry_for(far)
    asked = await asked_first(house, registry)
    assert asked.state == "awaiting_approval"
    assert await run_out(house, registry) == []
    await decided(house, registry, "approve", asked.id)
    await run_out(house, registry)
    row = await the_directive(house)
    assert (row["state"], row["approved_by"], len(far.done())) == ("succeeded", "human:u1", 1)
    assert await signals(house) == ["approval_requested", "approved", "succeeded"]


async def test_a_decision_names_who_made_it(house: House, far: FarSide) -> None:
    registry = registry_for(far)
    asked = await asked_first(house, registry)
    await decided(house, registry, "approve", asked.id)
    [row] = await house.tenant_rows(
        ACME, "select actor_kind, actor_id, causation_id from signals where name = 'directive.approved'"
    )
    assert tuple(row) == ("human", "u1", asked.id)


async def test_a_rejected_one_is_never_done(house: House, far: FarSide) -> None:
    registry = registry_for(far)
    asked = await asked_first(house, registry)
    await decided(house, registry, "reject", asked.id)
    assert await run_out(house, registry) == []
    row = await the_directive(house)
    assert (row["state"], row["error_code"], row["error"]) == ("canceled", "rejected", "no")
    assert await signals(house) == ["approval_requested", "rejected"]


async def test_an_approval_is_for_the_exact_arguments(house: House, far: FarSide) -> None:
    registry = registry_for(far)
    asked = await asked_first(house, registry)
    await decided(house, registry, "approve", asked.id)
    await house.tenant_rows(ACME, """update directives set arguments = '{"texts": ["another"]}'""")
    await run_out(house, registry)
    assert ((await the_directive(house))["error_code"], far.tries()) == ("approval_void", 0)
    assert await house.value("select count(*) from public.job") == 0


@pytest.mark.parametrize(
    "number", [0.0, -0.0, 1.0, 1e16, 1e22, 1e23, 1.5e300, 1e-7, 0.1 + 0.2, 123456789.123]
)
async def test_an_approval_holds_for_every_number_that_the_database_keeps(
    house: House, far: FarSide, number: float
) -> None:
    registry = registry_for(far)
    asked = await asked_first(house, registry, arguments={"number": number})
    await decided(house, registry, "approve", asked.id)
    await run_out(house, registry)
    assert await state(house) == "succeeded"


async def test_an_approval_comes_too_late_after_its_time(house: House, far: FarSide) -> None:
    registry = registry_for(far)
    asked = await asked_first(house, registry, approval_lasts_s=-1.0)
    with pytest.raises(Conflict, match="time to approve this directive is over"):
        await decided(house, registry, "approve", asked.id)
    async with house.tenancy.session(ACME) as session:
        assert await decide.expire(session, registry) == 1
    async with house.tenancy.session(ACME) as session:
        assert await decide.expire(session, registry) == 0
    row = await the_directive(house)
    assert (row["state"], row["error_code"]) == ("canceled", "expired")
    assert await signals(house) == ["approval_requested", "expired"]


async def test_a_canceled_one_is_not_begun(house: House, far: FarSide) -> None:
    registry = registry_for(far)
    asked = await ask(house, registry)
    await decided(house, registry, "cancel", asked.id)
    assert await run_out(house, registry) == ["finished"]
    assert (await state(house), far.tries(), await signals(house)) == ("canceled", 0, ["canceled"])


async def test_a_retry_repeats_what_failed_and_nothing_that_was_sent(house: House, far: FarSide) -> None:
    far.parts[1] = ("refuse", "ok")
    registry = registry_for(far)
    asked = await ask(house, registry, arguments={"texts": ["a", "b", "c"]})
    await run_out(house, registry)
    assert await effects(house) == ["sent", "failed", "planned"]
    await decided(house, registry, "retry", asked.id)
    await run_out(house, registry)
    assert await state(house) == "succeeded"
    assert far.done() == [f"{asked.id}.{part}" for part in range(3)]


async def test_each_failure_is_told(house: House, far: FarSide) -> None:
    far.acts = ("refuse",)
    registry = registry_for(far)
    asked = await ask(house, registry)
    for _ in range(3):
        await run_out(house, registry)
        await decided(house, registry, "retry", asked.id)
    assert await signals(house) == ["failed", "retried"] * 3


async def test_each_failure_is_told_of_one_that_never_began(house: House, far: FarSide) -> None:
    registry = registry_for(far)
    asked = await asked_first(house, registry)
    await decided(house, registry, "approve", asked.id)
    await house.tenant_rows(ACME, """update directives set arguments = '{"texts": ["another"]}'""")
    for _ in range(2):
        await run_out(house, registry)
        await decided(house, registry, "retry", asked.id)
    assert await signals(house) == ["approval_requested", "approved", *["failed", "retried"] * 2]


async def test_an_unknown_outcome_that_a_person_saw_is_a_success(house: House, far: FarSide) -> None:
    far.parts[0], far.looks = ("lost",), ("unclear",)
    registry = registry_for(far)
    asked = await ask(house, registry, arguments={"texts": ["a", "b"]})
    await run_out(house, registry)
    await decided(house, registry, "resolve sent", asked.id)
    await run_out(house, registry)
    assert (await state(house), far.done()) == ("succeeded", [f"{asked.id}.0", f"{asked.id}.1"])


async def test_an_unknown_outcome_of_the_only_part_is_over_when_a_person_saw_it(
    house: House, far: FarSide
) -> None:
    far.acts, far.looks = ("lost",), ("unclear",)
    registry = registry_for(far)
    asked = await ask(house, registry)
    await run_out(house, registry)
    await decided(house, registry, "resolve sent", asked.id)
    assert (await state(house), await run_out(house, registry), far.tries()) == ("succeeded", [], 1)
    assert await signals(house) == ["outcome_unknown", "resolved", "succeeded"]


async def test_an_unknown_outcome_that_a_person_missed_is_sent_again_with_fresh_patience(
    house: House, far: FarSide
) -> None:
    far.acts, far.looks = ("silent", "lost"), ("unclear",) * 7 + ("truth",)
    registry = registry_for(far)
    asked = await ask(house, registry)
    await run_out(house, registry)
    assert (await state(house), far.done()) == ("outcome_unknown", [])
    await decided(house, registry, "resolve not sent", asked.id)
    await run_out(house, registry)
    assert (await state(house), len(far.done())) == ("succeeded", 1)


@pytest.mark.parametrize("decision", DECISIONS)
@pytest.mark.parametrize("source", DirectiveState)
async def test_a_decision_is_refused_where_it_makes_no_sense(
    house: House, far: FarSide, decision: str, source: str
) -> None:
    registry = registry_for(far)
    asked = await ask(house, registry)
    await house.tenant_rows(ACME, "alter table directives disable trigger guard_move")
    await house.tenant_rows(ACME, "update directives set state = $1", str(source))
    if source in TAKEN_IN[decision]:
        await decided(house, registry, decision, asked.id)
        return
    with pytest.raises(Conflict, match=f"This directive is {source}"):
        await decided(house, registry, decision, asked.id)
    assert await signals(house) == []


@pytest.mark.parametrize("decision", DECISIONS)
async def test_nobody_decides_about_another_tenants_directive(
    house: House, far: FarSide, decision: str
) -> None:
    registry = registry_for(far)
    asked = await ask(house, registry)
    for tenant, directive_id in ((GLOBEX, asked.id), (ACME, DirectiveId(new_id()))):
        with pytest.raises(NotFound, match="There is no directive"):
            await decided(house, registry, decision, directive_id, tenant)


async def test_a_directive_whose_job_died_has_failed_and_can_be_retried(house: House, far: FarSide) -> None:
    registry = registry_for(far)
    asked = await ask(house, registry)
    await die(house, registry)
    row = await the_directive(house)
    assert (row["state"], row["error_code"]) == ("failed", "job_died")
    await decided(house, registry, "retry", asked.id)
    await run_out(house, registry)
    assert (await state(house), len(far.done())) == ("succeeded", 1)


async def test_a_directive_whose_job_died_in_the_middle_of_a_call_is_of_unknown_outcome(
    house: House, far: FarSide
) -> None:
    far.acts = ("raise", "ok")
    registry = registry_for(far)
    asked = await ask(house, registry)
    await house.rows("update public.job set max_attempts = 1")
    assert await run_once(house, registry) == "dead"
    await run_out(house, registry)
    assert await state(house) == "outcome_unknown"
    await decided(house, registry, "resolve not sent", asked.id)
    await run_out(house, registry)
    assert await state(house) == "succeeded"


async def die(house: House, registry: Registry) -> None:
    """As if the job had killed its worker to the last attempt; who waits for it is told."""
    await house.rows(
        "update public.job set state = 'running', attempt = 8, worker = 'gone', lease_until = now() - interval '1 s'"
    )
    assert await claim.reap(house.database) == 1
    await run_out(house, registry)

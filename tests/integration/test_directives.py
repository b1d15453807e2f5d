"""A directive carried out: once, in order, and looked up before it is repeated."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from fleetprompt.kernel.errors import InvalidInput
from fleetprompt.model import Directive
from fleetprompt.runtime.directives import NewDirective, request
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import NewSignal, emit
from fleetprompt.tenancy import TenantSession
from tests.directives import (
    AGENT,
    POST,
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
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


async def play(house: House, far: FarSide, texts: Sequence[str] = ("hello",), **values: object) -> str:
    """Request it and run it to its end; its state."""
    registry = registry_for(far, **values)
    await ask(house, registry, arguments={"texts": list(texts)})
    await run_out(house, registry)
    return str((await the_directive(house))["state"])


async def wait_s(house: House) -> float:
    """How long the next job still waits."""
    return float(await house.value("select extract(epoch from min(scheduled_at) - now()) from public.job"))


async def test_an_effect_is_done_once_and_its_receipt_kept(house: House, ledger: Path) -> None:
    far = FarSide(ledger)
    assert await play(house, far) == "succeeded"
    row = await the_directive(house)
    assert far.done() == [f"{row['id']}.0"]
    assert json.loads(row["result"]) == {"receipts": [{"id": f"{row['id']}.0"}]}
    assert (row["attempt"], row["failures"], row["error"]) == (1, 0, None)
    assert await signals(house) == ["succeeded"]
    assert await house.value("select count(*) from public.job") == 0


async def test_the_other_tenant_sees_nothing_of_it(house: House, ledger: Path) -> None:
    await play(house, FarSide(ledger))
    for table in ("directives", "effects", "signals"):
        assert await house.tenant_rows(GLOBEX, f"select * from {table}") == []


async def test_the_parts_of_a_directive_are_done_in_order(house: House, ledger: Path) -> None:
    far = FarSide(ledger)
    assert await play(house, far, "abc") == "succeeded"
    directive_id = (await the_directive(house))["id"]
    assert far.done() == [f"{directive_id}.{part}" for part in range(3)]
    assert await effects(house) == ["sent"] * 3


async def test_the_same_intent_asked_for_again_is_the_same_directive(house: House, ledger: Path) -> None:
    far = FarSide(ledger)
    registry = registry_for(far)
    first = await ask(house, registry)
    second = await ask(house, registry)
    assert (first.fresh, second.fresh, second.id) == (True, False, first.id)
    await run_out(house, registry)
    third = await ask(house, registry)
    assert (third.fresh, third.id, third.state) == (False, first.id, "succeeded")
    await run_out(house, registry)
    assert len(far.done()) == 1


async def test_arguments_that_do_not_fit_are_refused_in_words(house: House, ledger: Path) -> None:
    with pytest.raises(InvalidInput, match=r"far\.post\.create does not take these arguments: texts: .*list"):
        await ask(house, registry_for(FarSide(ledger)), arguments={"texts": "no list, but a secret"})
    with pytest.raises(InvalidInput, match="There is no directive"):
        async with house.tenancy.session(ACME) as session:
            await request(session, Registry(), NewDirective("nope", "k", {}, "", AGENT))


async def test_what_postgres_cannot_hold_is_replaced_in_arguments_and_summary(
    house: House, ledger: Path
) -> None:
    """A model may write anything."""
    registry = registry_for(FarSide(ledger))
    new = NewDirective(
        POST, "k", {"texts": ["a\x00b"], "number": float("inf")}, "so\x00 it\ud800 goes", AGENT
    )
    async with house.tenancy.session(ACME) as session:
        await request(session, registry, new)
    row = await the_directive(house)
    assert json.loads(row["arguments"]) == {"texts": ["a\ufffdb"], "number": None}
    assert row["summary"] == "so\ufffd it\ufffd goes"


async def test_a_transaction_that_failed_requested_nothing(house: House, ledger: Path) -> None:
    registry = registry_for(FarSide(ledger))
    with contextlib.suppress(ZeroDivisionError):
        async with house.tenancy.session(ACME) as session:
            await request(session, registry, NewDirective(POST, "k", {}, "", AGENT))
            raise ZeroDivisionError
    assert await run_out(house, registry) == []
    assert await house.tenant_rows(ACME, "select * from directives") == []


async def test_what_certainly_failed_is_tried_again_after_a_growing_while(house: House, ledger: Path) -> None:
    far = FarSide(ledger, ["retry", "retry", "ok"])
    registry = registry_for(far)
    await ask(house, registry)
    for longest in (1.0, 2.0):
        assert await run_once(house, registry) == "postponed"
        assert longest / 3 < await wait_s(house) <= longest
        row = await the_directive(house)
        assert (row["state"], row["error_code"]) == ("requested", "trouble")
    await run_out(house, registry)
    row = await the_directive(house)
    assert (row["state"], row["failures"], row["attempt"], row["error"]) == ("succeeded", 2, 3, None)
    assert (far.tries("look"), len(far.done())) == (0, 1)


async def test_enough_failures_are_a_failure(house: House, ledger: Path) -> None:
    far = FarSide(ledger, ["retry"])
    assert await play(house, far, max_failures=2) == "failed"
    row = await the_directive(house)
    assert (row["error_code"], row["error"], far.tries()) == ("trouble", "It did not work.", 3)
    assert await signals(house) == ["failed"]
    assert await effects(house) == ["failed"]


async def test_a_forgiven_retry_counts_for_nothing(house: House, ledger: Path) -> None:
    far = FarSide(ledger, ["busy"] * 20 + ["ok"])
    assert await play(house, far, max_failures=2) == "succeeded"
    assert (await the_directive(house))["failures"] == 0


async def test_a_refusal_is_final_and_leaves_later_parts_untried(house: House, ledger: Path) -> None:
    far = FarSide(ledger, ["refuse"])
    assert await play(house, far, "ab") == "failed"
    assert (await the_directive(house))["error_code"] == "forbidden"
    assert await effects(house) == ["failed", "planned"]
    assert far.tries() == 1


@pytest.mark.parametrize("act", ["lost", "raise"])
async def test_an_effect_whose_answer_was_lost_is_found_and_not_repeated(
    house: House, ledger: Path, act: str
) -> None:
    far = FarSide(ledger, [act])
    assert await play(house, far) == "succeeded"
    assert (len(far.done()), far.tries(), far.tries("look")) == (1, 1, 1)


async def test_an_effect_that_is_certainly_absent_is_repeated(house: House, ledger: Path) -> None:
    far = FarSide(ledger, ["silent", "ok"])
    assert await play(house, far) == "succeeded"
    assert (len(far.done()), far.tries(), far.tries("look")) == (1, 2, 1)


async def test_a_look_up_that_must_wait_is_asked_again(house: House, ledger: Path) -> None:
    far = FarSide(ledger, ["lost"], ["busy"] * 12 + ["truth"])
    assert await play(house, far) == "succeeded"
    assert (len(far.done()), far.tries()) == (1, 1)


async def test_after_a_doubtful_try_every_later_one_looks_first(house: House, ledger: Path) -> None:
    """The doubtful one may still be in flight, so a look-up that found nothing proves it for that moment only."""
    far = FarSide(ledger, ["silent", "busy", "busy", "ok"])
    assert await play(house, far) == "succeeded"
    assert (far.tries(), far.tries("look")) == (4, 3)


async def test_what_nobody_can_tell_is_parked_where_a_person_sees_it(house: House, ledger: Path) -> None:
    far = FarSide(ledger, ["lost"], ["unclear"])
    assert await play(house, far) == "outcome_unknown"
    row = await the_directive(house)
    assert (row["error_code"], row["error"]) == ("outcome_unknown", "The far side cannot say.")
    assert (await effects(house), await signals(house)) == (["unknown"], ["outcome_unknown"])
    assert (len(far.done()), far.tries()) == (1, 1)
    assert 4 <= far.tries("look") <= 6


async def test_earlier_waits_do_not_shorten_the_patience_of_look_ups(house: House, ledger: Path) -> None:
    far = FarSide(ledger, ["busy"] * 10 + ["lost"], ["unclear", "unclear", "truth"])
    assert await play(house, far) == "succeeded"
    assert len(far.done()) == 1


async def test_a_far_side_that_cannot_be_asked_is_waited_for_a_long_time(house: House, ledger: Path) -> None:
    far = FarSide(ledger, ["gone"], ["busy"])
    registry = registry_for(far)
    await ask(house, registry)
    for _ in range(20):
        assert await run_once(house, registry) == "postponed"
    assert (await the_directive(house))["state"] == "running"
    await house.tenant_rows(ACME, "update effects set first_tried_at = now() - interval '61 minutes'")
    await run_out(house, registry)
    assert (await the_directive(house))["state"] == "outcome_unknown"


async def test_a_kind_that_this_program_does_not_know_waits_for_one_that_does(
    house: House, ledger: Path
) -> None:
    far = FarSide(ledger)
    registry, older = registry_for(far), registry_for(far)
    del older.directives[POST]
    await ask(house, registry)
    assert await run_once(house, older) == "postponed"
    await run_out(house, registry)
    assert (await the_directive(house))["state"] == "succeeded"


async def test_its_success_and_what_follows_from_it_are_one_transaction(house: House, ledger: Path) -> None:
    heard: list[str] = []
    registry = Registry()

    async def delivered(
        session: TenantSession, directive: Directive, receipts: Sequence[dict[str, object]]
    ) -> None:
        heard.append(f"delivered {len(receipts)}")
        new = NewSignal("directive.resolved", {}, AGENT)
        await emit(session, registry, new)
        if len(heard) == 1:
            raise ConnectionResetError

    async def settled(session: TenantSession, directive: Directive) -> None:
        heard.append(directive.state)

    far = FarSide(ledger)
    registry = registry_for(far, delivered=delivered)
    registry.settled.append(settled)
    await ask(house, registry)
    await run_out(house, registry)
    assert heard == ["delivered 1", "delivered 1", "succeeded"]
    assert await signals(house) == ["resolved", "succeeded"]
    assert len(far.done()) == 1

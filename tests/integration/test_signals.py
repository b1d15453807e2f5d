"""Facts: told once, in the transaction of what they report, to everyone who wants them, and never changed."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import asyncpg
import pytest

from fleetprompt.kernel.errors import InvalidInput
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import Signal
from fleetprompt.runtime.registry import Handler, Registry
from fleetprompt.runtime.signals import Actor, Emitted, NewSignal, emit
from fleetprompt.runtime.signals.emit import emit_many
from fleetprompt.runtime.signals.handle import handle_kind
from fleetprompt.tenancy import TenantSession
from fleetprompt.tenancy.rows import get
from tests.directives import run_once, run_out
from tests.house import ACME, GLOBEX, House

ADA = Actor("human", "u1", "Ada")


class Ears:
    """A registry with one signal and two handlers that remember what they heard."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.registry = Registry()
        self.registry.add_signal("thing.happened", "Something happened.")
        self.registry.add_job(handle_kind(self.registry))
        self.registry.on("thing.happened", Handler("first", self._hear))
        self.registry.on(
            "thing.happened", Handler("picky", self._hear, lambda payload: payload.get("n") == 7)
        )

    async def _hear(self, session: TenantSession, signal: Signal) -> None:
        self.heard.append(f"{session.tenant} {signal.name} {signal.payload.get('n')}")


@pytest.fixture
def ears() -> Ears:
    return Ears()


async def told(
    house: House,
    ears: Ears,
    n: int = 1,
    tenant: TenantSlug = ACME,
    name: str = "thing.happened",
    **values: Any,
) -> Emitted:
    async with house.tenancy.session(tenant) as session:
        return await emit(session, ears.registry, NewSignal(name, {"n": n}, ADA, **values))


async def count(house: House, tenant: TenantSlug = ACME) -> int:
    rows = await house.tenant_rows(tenant, "select count(*) from signals")
    return int(rows[0][0])


async def test_a_fact_is_stored_and_heard_by_all_who_want_it(house: House, ears: Ears) -> None:
    for n in (1, 7):
        await told(house, ears, n)
    assert await run_out(house, ears.registry) == ["finished"] * 3
    assert sorted(ears.heard) == ["acme thing.happened 1", "acme thing.happened 7", "acme thing.happened 7"]


async def test_a_fact_told_twice_is_one_and_heard_once(house: House, ears: Ears) -> None:
    first = await told(house, ears, dedupe_key="k")
    second = await told(house, ears, 2, dedupe_key="k")
    assert (first.fresh, second.fresh, second.id) == (True, False, first.id)
    assert await count(house) == 1
    assert await run_out(house, ears.registry) == ["finished"]
    await told(house, ears, dedupe_key="k")
    assert await run_out(house, ears.registry) == []


async def test_a_fact_told_by_many_at_once_is_one(house: House, ears: Ears) -> None:
    emitted = await asyncio.gather(*[told(house, ears, dedupe_key="k") for _ in range(8)])
    assert (sum(one.fresh for one in emitted), len({one.id for one in emitted})) == (1, 1)
    assert await run_out(house, ears.registry) == ["finished"]


async def test_facts_without_a_key_are_always_new(house: House, ears: Ears) -> None:
    assert (await told(house, ears)).id != (await told(house, ears)).id
    assert await count(house) == 2


async def test_of_a_batch_each_fact_is_told_once_and_in_order(house: House, ears: Ears) -> None:
    old = await told(house, ears, 0, dedupe_key="0")
    news = [
        NewSignal("thing.happened", {"n": n}, ADA, dedupe_key=key)
        for n, key in enumerate(["0", "1", "2", "1"])
    ]
    async with house.tenancy.session(ACME) as session:
        emitted = await emit_many(session, ears.registry, news)
        assert await emit_many(session, ears.registry, []) == []
    assert [one.fresh for one in emitted] == [False, True, True, False]
    assert (emitted[0].id, emitted[3].id) == (old.id, emitted[1].id)
    await run_out(house, ears.registry)
    assert ears.heard == [f"acme thing.happened {n}" for n in (0, 1, 2)]


async def test_a_transaction_that_failed_told_nothing(house: House, ears: Ears) -> None:
    with contextlib.suppress(ZeroDivisionError):
        async with house.tenancy.session(ACME) as session:
            await emit(
                session, ears.registry, NewSignal("thing.happened", {}, ADA, dedupe_key="k", raw=b"raw")
            )
            raise ZeroDivisionError
    assert (await count(house), await run_out(house, ears.registry)) == (0, [])
    assert (await told(house, ears, dedupe_key="k")).fresh


async def test_a_handler_that_fails_leaves_nothing_and_is_called_again(house: House, ears: Ears) -> None:
    async def fail_once(session: TenantSession, signal: Signal) -> None:
        await emit(session, ears.registry, NewSignal("thing.happened", {"n": 99}, ADA))
        if not ears.heard:
            ears.heard.append("failed")
            raise RuntimeError

    ears.registry.handlers["thing.happened"] = [Handler("once", fail_once)]
    await told(house, ears)
    assert await run_once(house, ears.registry) == "failed"
    assert await count(house) == 1
    assert await run_once(house, ears.registry) == "finished"
    assert await count(house) == 2


async def test_a_name_that_nobody_catalogued_is_refused(house: House, ears: Ears) -> None:
    with pytest.raises(InvalidInput, match=r"Nobody catalogued the signal 'thing\.happend'"):
        await told(house, ears, name="thing.happend")
    with pytest.raises(InvalidInput, match="Nobody catalogued"):
        ears.registry.on("thing.happend", Handler("deaf", ears._hear))


async def test_a_handler_that_this_program_does_not_have_is_waited_for(house: House, ears: Ears) -> None:
    await told(house, ears)
    older = Ears()
    older.registry.handlers.clear()
    assert await run_once(house, older.registry) == "postponed"
    await run_out(house, ears.registry)
    assert ears.heard == ["acme thing.happened 1"]


async def test_a_fact_is_never_changed(house: House, ears: Ears) -> None:
    await told(house, ears)
    with pytest.raises(asyncpg.CheckViolationError, match="signals rows are immutable"):
        await house.tenant_rows(ACME, "update signals set payload = '{}'")


async def test_the_exact_bytes_are_kept_beside_the_fact(house: House, ears: Ears) -> None:
    raw = bytes(range(256))
    emitted = await told(house, ears, raw=raw)
    assert await house.tenant_rows(ACME, "select * from signal_raw") == [(emitted.id, raw)]


async def test_a_fact_says_who_did_it_and_what_led_to_it(house: House, ears: Ears) -> None:
    cause = await told(house, ears)
    effect = await told(house, ears, causation_id=cause.id, correlation_id=cause.id)
    rows = await house.tenant_rows(
        ACME,
        "select id, correlation_id, causation_id, actor_kind, actor_id, actor_name, retention from signals order by id",
    )
    assert [tuple(row) for row in rows] == [
        (cause.id, cause.id, None, "human", "u1", "Ada", "standard"),
        (effect.id, cause.id, cause.id, "human", "u1", "Ada", "standard"),
    ]
    jobs = await house.rows("select distinct correlation_id from public.job")
    assert [row[0] for row in jobs] == [cause.id]


async def test_the_other_tenant_neither_sees_nor_hears_nor_blocks(house: House, ears: Ears) -> None:
    await told(house, ears, 1, dedupe_key="k")
    assert await count(house, GLOBEX) == 0
    assert (await told(house, ears, 2, GLOBEX, dedupe_key="k")).fresh
    await run_out(house, ears.registry)
    assert sorted(ears.heard) == ["acme thing.happened 1", "globex thing.happened 2"]
    assert [await count(house, tenant) for tenant in (ACME, GLOBEX)] == [1, 1]


async def test_a_long_request_is_stored_as_a_part_of_its_text(house: House, ears: Ears) -> None:
    said = "grüße 🎈 " * 200
    payload = {"text": f"Dear all, {said}\n> before", "request": said, "n": 1}
    async with house.tenancy.session(ACME) as session:
        told = await emit(session, ears.registry, NewSignal("thing.happened", payload, ADA))
    async with house.tenancy.session(ACME) as session:
        signal = await session.get(Signal, told.id)
        assert signal is not None
        assert signal.payload == payload
    async with house.tenancy.session(ACME) as session:
        heard = await get(session, Signal, told.id)
        assert heard is not None
        assert heard.payload == payload
    query = "select payload ? 'request', payload->'$request' from signals"
    [row] = await house.tenant_rows(ACME, query)
    assert (row[0], row[1]) == (False, f"[10, {10 + len(said)}]")

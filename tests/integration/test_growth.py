"""Tables that have grown: the hot statements go through indexes, and a claim costs what it cost when there was little."""

from __future__ import annotations

import statistics
import time
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, text

from bench import growth as bench
from fleetprompt.kernel import clock
from fleetprompt.runtime.jobs import NewJob, claim
from fleetprompt.runtime.registry import JobKind, Registry
from fleetprompt.runtime.retention import retention_kind as records_retention
from fleetprompt.runtime.signals import retention
from fleetprompt.runtime.signals.find import SignalFilter, list_signals
from fleetprompt.runtime.trace_find import find_correlation
from tests.house import ACME, GLOBEX, House, fresh_house
from tests.jobs import add, all_done, until, working

SIGNALS = 20_000
JOBS = 6_000
Statement = tuple[str, Sequence[Any]]

FILL = """
with made as (
    select gen_random_uuid() as noise, n,
        (lpad(to_hex((extract(epoch from now()) * 1000)::bigint - (:signals - n)::bigint * 3456000), 12, '0')
            || '70008000' || lpad(to_hex(n), 12, '0'))::uuid as id
    from generate_series(1, :signals) n),
facts as (
    insert into signals (id, name, dedupe_key, correlation_id, actor_kind, actor_id, actor_name, payload, retention,
        occurred_at, created_at)
    select id, 'chat.message.received', noise::text, noise, 'human', 'u', 'u', '{}',
        case n % 10 when 0 then 'lifecycle' else 'standard' end, now(),
        now() - make_interval(secs => (:signals - n)::bigint * 3456) from made)
insert into signal_raw (signal_id, body) select id, '' from made where n % 2 = 0
"""


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with fresh_house() as made:
        async with made.tenancy.session(ACME) as session:
            await session.execute(text(FILL), {"signals": SIGNALS})
        await made.tenant_rows(ACME, "analyze")
        yield made


class Recorder:
    """What was said to the database within its block, to be explained afterwards."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.said: list[Statement] = []

    def __enter__(self) -> Recorder:
        event.listen(self.house.database.engine.sync_engine, "before_cursor_execute", self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(self.house.database.engine.sync_engine, "before_cursor_execute", self._hear)

    def _hear(self, _: Any, __: Any, statement: str, parameters: Sequence[Any], *___: Any) -> None:
        self.said.append((statement, parameters))

    async def plans(self, of: str) -> list[str]:
        """How each statement with this text in it is run, now that the tables have grown."""
        found = []
        for statement, parameters in self.said:
            if of in statement and "set_config" not in statement:
                async with self.house.tenancy.session(ACME) as session:
                    connection = await session.connection()
                    rows = await connection.exec_driver_sql(f"explain {statement}", tuple(parameters))
                    found.append("\n".join(row[0] for row in rows))
        return found


async def test_listing_and_tracing_read_no_whole_table(house: House) -> None:
    [known] = await house.tenant_rows(ACME, "select id, correlation_id from signals offset 7000 limit 1")
    with Recorder(house) as recorder:
        async with house.tenancy.session(ACME) as session:
            for chosen in (
                SignalFilter(),
                SignalFilter(name="chat.message.received"),
                SignalFilter(correlation_id=known["correlation_id"]),
                SignalFilter(since=clock.now() - timedelta(minutes=5)),
            ):
                await list_signals(session, chosen, 50)
        assert await find_correlation(house.tenancy, ACME, str(known["id"])) == known["correlation_id"]
    plans = await recorder.plans("FROM signals")
    assert len(plans) > 4
    assert [plan for plan in plans if "Seq Scan" in plan] == []


async def test_old_facts_go_in_batches_through_an_index_and_others_stay(house: House) -> None:
    registry = Registry()
    registry.add_job(retention.retention_kind(retention.retention_days(30)))
    registry.add_job(JobKind("records.retention", records_retention(30).run))
    kept = (
        "select count(*) from signals where created_at > now() - make_interval(days => $1) and retention = $2"
    )
    young = [
        (await house.tenant_rows(ACME, kept, days, name))[0][0]
        for days, name in ((30, "standard"), (365, "lifecycle"))
    ]
    with Recorder(house) as recorder:
        await add(house, NewJob(retention.NAME, {}), NewJob("records.retention", {}))
        async with working(house, registry):
            await until(lambda: all_done(house))
    left = await house.tenant_rows(ACME, "select retention, count(*) from signals group by 1 order by 1 desc")
    assert [row[1] for row in left] == young
    assert [
        row[0]
        for row in await house.tenant_rows(
            ACME,
            "select count(*) from signal_raw r where not exists (select from signals s where s.id = r.signal_id)",
        )
    ] == [0]
    removals = [said for said in recorder.said if "delete from signals" in said[0]]
    assert len(removals) >= 4  # more than one batch of a class
    assert all("signals_retention" in plan for plan in await recorder.plans("delete from signals"))


WAITING = {
    "free": "null",
    "behind one head": "'acme:lane'",
    "behind many heads": "'acme:lane' || (n % 600)",
}


async def cost_s(house: House) -> float:
    """Of a claim by which another tenant's only job is found; the median."""
    times = []
    for _ in range(15):
        await add(house, NewJob("mark", {}), tenant=GLOBEX)
        got: list[str] = []
        while GLOBEX not in got:
            began = time.perf_counter()
            got = [job.tenant for job in await claim.claim(house.database, "w", ["mark"], 2, 60.0)]
            times.append(time.perf_counter() - began)
        await house.rows("delete from public.job where worker = 'w'")
    return statistics.median(times)


@pytest.mark.parametrize("shape", [*WAITING, "to come", "unknown"])
async def test_a_claim_costs_about_the_same_whatever_thousands_of_jobs_wait_for(shape: str) -> None:
    async with fresh_house() as small, fresh_house() as grown:
        when = "now() + interval '1 h'" if shape == "to come" else "now() - interval '1 m'"
        kind = "unheard.of" if shape == "unknown" else "mark"
        await grown.rows(
            "insert into public.job (id, tenant, kind, args, lane, position, scheduled_at)"
            f" select gen_random_uuid(), 'acme', '{kind}', '{{}}', {WAITING.get(shape, 'null')}, n, {when}"
            f" from generate_series(1, {JOBS}) n"
        )
        if "head" in shape:  # each lane's head runs, at a far side that does not answer
            await grown.rows(
                "update public.job set state = 'running', worker = 'x', lease_until = now() + interval '1 h' where id in"
                " (select distinct on (lane) id from public.job order by lane, position, id)"
            )
        await grown.rows("analyze public.job")
        assert (
            await cost_s(grown) < 8 * await cost_s(small) + 0.01
        )  # it was sixty to two hundred times, at sixty thousand


async def test_one_free_lane_among_thousands_of_blocked_jobs_is_found() -> None:
    async with fresh_house() as house:
        await house.rows(
            "insert into public.job (id, tenant, kind, args, lane, position)"
            f" select gen_random_uuid(), 'acme', 'mark', '{{}}', 'acme:lane' || (n % 10), n from generate_series(1, {JOBS}) n"
        )
        await house.rows(
            "update public.job set scheduled_at = now() + interval '1 h' where id in"
            " (select distinct on (lane) id from public.job order by lane, position, id)"
        )
        await add(house, NewJob("mark", {"note": "free"}, lane="another", position=1))
        [job] = await claim.claim(house.database, "w", ["mark"], 8, 60.0)
        assert job.args == {"note": "free"}


async def test_the_bench_measures_a_small_growth() -> None:
    async with fresh_house() as house:
        figures = await bench.measure(house, signals=12_000, times=3)
        assert len(figures) == 5
        assert all(figure.value > 0 and figure.floor for figure in figures)

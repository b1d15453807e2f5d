"""Workers that stop, die, freeze or dawdle: the work goes on, once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from fleetprompt.kernel import processes
from fleetprompt.runtime.jobs import NewJob, claim
from fleetprompt.runtime.jobs.worker import Worker
from tests import programs
from tests.house import ACME, House, fresh_house
from tests.jobs import add, all_done, marks, prepare, registry_of, until, working
from tests.killing import ended, running

LONG_S = 60
CLAIMED = (
    "update public.job set state = 'running', attempt = 1, worker = 'w', lease_until = now() + interval '1 h'"
)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with fresh_house() as made:
        await prepare(made)
        yield made


async def attempts(house: House, note: str) -> list[int]:
    """The attempts that left this mark."""
    rows = await house.tenant_rows(ACME, "select attempt from marks where note like $1 order by n", note)
    return [row[0] for row in rows]


async def begun(house: House) -> bool:
    return bool(await marks(house, "begun%"))


async def test_stopping_hands_running_work_back_at_once_and_the_attempt_does_not_count(house: House) -> None:
    await add(house, *[NewJob("slow", {"s": LONG_S, "note": n}) for n in "abc"])
    async with working(house, shutdown_grace_s=0.2, lease_s=LONG_S):
        await until(lambda: house.value("select count(*) = 3 from public.job where state = 'running'"))
        await until(lambda: begun(house))
    rows = await house.rows(
        "select state, worker, lease_until, max_attempts - attempt as left from public.job"
    )
    assert [tuple(row) for row in rows] == [("available", None, None, 8)] * 3


async def test_stopping_gives_work_the_grace_to_end(house: House) -> None:
    await add(house, NewJob("slow", {"s": 0.5}))
    async with working(house, shutdown_grace_s=5.0):
        await until(lambda: begun(house))
    assert await marks(house) == ["begun ", "done "]
    assert await all_done(house)


async def test_a_worker_that_was_told_to_stop_by_signal_exits_within_its_grace(house: House) -> None:
    await add(house, NewJob("slow", {"s": LONG_S}))
    with running(programs.work, house.url, {"shutdown_grace_s": 0.2, "lease_s": LONG_S}) as process:
        await until(lambda: begun(house))
        process.terminate()
        assert await ended(process) == 0
    assert await house.value("select state from public.job") == "available"
    assert await house.value("select count(*) from public.worker") == 0


async def test_a_worker_that_starts_as_postgres_goes_waits_for_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    enlist, refusals = Worker._enlist, [ConnectionRefusedError(), ConnectionRefusedError()]

    async def refused(self: Worker) -> None:
        if refusals:
            raise refusals.pop()
        await enlist(self)

    monkeypatch.setattr(Worker, "_enlist", refused)
    await add(house, NewJob("slow", {"s": 0}))
    async with working(house):
        await until(lambda: marks(house, "done%"), 20.0)


async def test_work_beyond_the_slots_waits_and_is_not_claimed(house: House) -> None:
    await add(house, *[NewJob("slow", {"s": 0.3, "note": str(n)}) for n in range(6)])
    async with working(house, worker_slots=2):
        await until(lambda: begun(house))
        assert await house.value("select count(*) from public.job where state = 'running'") <= 2
        await until(lambda: all_done(house))


async def test_a_killed_workers_job_is_resumed_within_ten_seconds(house: House) -> None:
    """With the settings that a service has by default."""
    await add(house, NewJob("slow", {"s": LONG_S}))
    default: dict[str, Any] = {"lease_s": 5.0, "heartbeat_s": 1.5, "reap_every_s": 1.0, "poll_every_s": 1.0}
    with running(programs.work, house.url, default):
        await until(lambda: begun(house))
    await house.rows("""update public.job set args = '{"s": 0}'""")
    async with working(house, **default):
        assert await until(lambda: marks(house, "done%"), 10.0) < 10.0
    assert await attempts(house, "done%") == [2]


async def test_a_killed_workers_job_is_resumed_by_a_neighbour_at_once(house: House) -> None:
    """The neighbour sees that the process is gone, and waits for nothing."""
    await add(house, NewJob("slow", {"s": LONG_S}))
    silent: dict[str, Any] = {"lease_s": 600.0, "heartbeat_s": 60.0, "reap_every_s": 0.2, "poll_every_s": 0.2}
    with running(programs.work, house.url, silent):
        await until(lambda: begun(house))
    await house.rows("""update public.job set args = '{"s": 0}'""")
    async with working(house, **silent):
        await until(lambda: marks(house, "done%"), 30.0)
    assert await attempts(house, "done%") == [2]


async def test_only_a_neighbour_whose_process_and_session_are_gone_counts_as_dead(house: House) -> None:
    [job] = await add(house, NewJob("slow", {"s": LONG_S}))
    await house.rows(CLAIMED)
    pid, here, birth = os.getpid(), processes.machine(), processes.own_birth()
    assert birth is not None
    gone = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await gone.wait()
    enlisted = (
        "insert into public.worker (id, idle, host, pid, machine, born, backend) values ('w', true, 'h', $1, $2, $3, $4)"
        " on conflict (id) do update set pid = $1, machine = $2, born = $3, backend = $4"
    )
    own = await house.database.connect_raw()
    try:
        session = await own.fetchval("select pg_backend_pid()")
        for values in (
            (pid, here, birth, None),  # it lives
            (gone.pid, here, birth, session),  # so does its session: we cannot see it, that is all
            (gone.pid, "another machine", birth, None),
            (gone.pid, None, None, None),  # of a program that did not say
        ):
            await house.rows(enlisted, *values)
            assert await claim.reap(house.database) == 0, values
    finally:
        await own.close()
    await house.rows(enlisted, pid, here, birth - 1, None)  # its number went to another process
    assert await claim.reap(house.database) == 1
    assert await house.value("select idle from public.worker") is False  # nobody is to wake it
    await house.rows("update public.job set worker = null, state = 'available'")
    await house.rows(CLAIMED)
    await house.rows(enlisted, gone.pid, here, birth, None)
    assert await claim.reap(house.database) == 1
    assert await house.value("select state from public.job where id = $1", job) == "available"


async def test_a_killed_workers_job_is_resumed_from_afar_long_before_its_lease_ends(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its session is gone, and it is silent; one that is frozen has its session, and its lease."""
    monkeypatch.setattr(processes, "machine", lambda: "another machine")  # of who judges
    await add(house, NewJob("slow", {"s": LONG_S}))
    patient: dict[str, Any] = {
        "lease_s": 600.0,
        "heartbeat_s": 0.5,
        "reap_every_s": 0.2,
        "poll_every_s": 0.2,
    }
    with running(programs.work, house.url, patient) as process:
        await until(lambda: begun(house))
        await until(lambda: house.value("select backend from public.worker"))
        os.kill(process.pid or 0, signal.SIGSTOP)
        await house.rows("""update public.job set args = '{"s": 0}'""")
        async with working(house, **patient):
            await asyncio.sleep(1.5)
            assert await attempts(house, "done%") == []
            process.kill()
            await until(lambda: marks(house, "done%"), 30.0)
    assert await attempts(house, "done%") == [2]


async def test_a_worker_that_was_merely_cut_off_or_cannot_beat_keeps_its_jobs(house: House) -> None:
    [job] = await add(house, NewJob("slow", {"s": LONG_S}))
    await house.rows(CLAIMED)
    enlisted = "insert into public.worker (id, idle, host, pid, backend) values ('w', false, 'h', 1, $1)"
    judge, own = await house.database.connect_raw(), await house.database.connect_raw()
    judging = await judge.fetchval("select pg_backend_pid()")
    try:
        await house.rows(enlisted, await own.fetchval("select pg_backend_pid()"))
        await house.rows("update public.worker set seen_at = now() - interval '1 minute'")
        await asyncio.sleep(0.2)
        assert await claim.reap(house.database, 0.1, judging) == 0  # silent, and there
        await own.close()
        gone = (
            "select not exists (select 1 from pg_stat_activity a join public.worker w on w.backend = a.pid)"
        )
        await until(lambda: house.value(gone))
        await house.rows("update public.worker set seen_at = now() + interval '1 minute'")
        assert await claim.reap(house.database, 0.1, judging) == 0  # gone, and heard
        await house.rows("update public.worker set seen_at = now() - interval '1 hour'")
        assert await claim.reap(house.database, 600.0, judging) == 0  # everybody may have been cut off
        assert await claim.reap(house.database, 0.1) == 0  # nobody knows
        assert await claim.reap(house.database, 0.1, judging) == 1
    finally:
        await judge.close()
    assert await house.value("select state from public.job where id = $1", job) == "available"


async def test_a_job_that_kills_its_worker_ends_as_a_dead_letter(house: House) -> None:
    await add(house, NewJob("poison", {}, max_attempts=2))
    for _ in range(2):
        with running(programs.work, house.url) as process:
            assert await ended(process) == -signal.SIGKILL
        await until(lambda: house.value("select lease_until < clock_timestamp() from public.job"))
    async with working(house, registry_of("job.died")):
        await until(lambda: marks(house, "died%"))
    assert await marks(house) == ["died poison: its worker stopped answering"]
    assert await house.value("select state from public.job where kind = 'poison'") == "dead"


async def test_a_frozen_workers_late_writes_are_refused(house: House) -> None:
    await add(house, NewJob("slow", {"s": 0.5}))
    with running(programs.work, house.url) as process:
        await until(lambda: begun(house))
        os.kill(process.pid or 0, signal.SIGSTOP)
        async with working(house):
            await until(lambda: all_done(house))
            os.kill(process.pid or 0, signal.SIGCONT)
            await asyncio.sleep(1.0)
        process.terminate()
        assert await ended(process) == 0
    assert await attempts(house, "begun%") == [1, 2]
    assert await attempts(house, "done%") == [2]


async def test_a_worker_that_reclaims_its_own_lost_job_keeps_the_new_claim(house: House) -> None:
    """Frozen past its lease: it claims its own job again while the old try still runs."""
    await add(house, NewJob("slow", {"s": 2.5}))
    with running(programs.work, house.url) as process:
        await until(lambda: begun(house))
        os.kill(process.pid or 0, signal.SIGSTOP)
        await until(lambda: claim.reap(house.database))
        os.kill(process.pid or 0, signal.SIGCONT)
        await until(lambda: marks(house, "done%"))
    tries = await attempts(house, "begun%")  # on a busy machine the second claim may be lost, too
    assert await attempts(house, "done%") == tries[-1:]
    assert tries[:2] == [1, 2]


@pytest.mark.parametrize("kind", ["long_step", "long_finish"])
async def test_one_long_transaction_costs_no_other_job_its_lease(house: House, kind: str) -> None:
    await add(house, NewJob(kind, {"s": 2.0}), NewJob("slow", {"s": 2.0}))
    async with working(house), working(house):
        await until(lambda: all_done(house))
    assert await attempts(house, "%") == [1, 1, 1]


async def test_a_lost_lease_stops_the_work_and_frees_its_slot(house: House) -> None:
    await add(house, NewJob("slow", {"s": LONG_S, "note": "lost"}))
    async with working(house, worker_slots=1) as worker:
        await until(lambda: begun(house))
        await house.rows("update public.job set worker = 'another', lease_until = now() + interval '1 hour'")
        await add(house, NewJob("mark", {"note": "next"}))
        await until(lambda: marks(house, "next"))
        assert worker.broker.held == {}
    assert await house.value("select worker from public.job") == "another"

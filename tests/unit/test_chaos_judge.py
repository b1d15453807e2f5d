"""The judge of the chaos harness finds each thing that must not be, and nothing in a good day."""

from __future__ import annotations

import os
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from fleetprompt.database.embedded import ServerAddress
from fleetprompt.runtime.jobs.worker import Worker
from fleetprompt.runtime.registry import Registry
from fleetprompt.sandbox.mattermost.ledger import LedgerEntry
from fleetprompt.sandbox.order_desk import Hold
from fleetprompt.settings import Settings
from tests.chaos import judge
from tests.chaos.facts import Facts
from tests.chaos.judge import Asked, Verdict
from tests.chaos.place import token
from tests.chaos.plan import Mention
from tests.chaos.watch import DatabaseWatch, Orphan, Probe, Span
from tests.database import reachable_directory
from tests.house import fresh_house

ASKED = [
    Asked(
        Mention(n, float(n), "acme", "support", "dana", 0 if n else None, "1042" if n == 1 else ""),
        f"p{n}",
        "p0",
        "c",
        "bot",
        n,
    )
    for n in range(3)
]
GOOD_RUNS = [
    {"id": f"r{n}", "tenant": "acme", "state": "succeeded", "error_code": None, "post_id": f"p{n}"}
    for n in range(3)
]


def said(n: int, arrival: int = 0, **more: Any) -> LedgerEntry:
    """The bot's answer to mention n."""
    values: dict[str, Any] = {
        "arrival": arrival or n + 1,
        "post_id": f"a{n}",
        "create_at": 100 + n,
        "user_id": "bot",
        "channel_id": "c",
        "root_id": "p0",
        "message": f"Here: {token(n)}",
        "props": {"fleetprompt_directive": f"d{n}.0", "fleetprompt_execution": f"r{n}"},
        "pending_post_id": "",
        "via": "rest",
    }
    return LedgerEntry(**values | more)


def facts(**more: list[dict[str, Any]]) -> Facts:
    return Facts(**{"runs": GOOD_RUNS, "directives": [], "effects": [], "jobs": []} | more)


def answers(*ledger: LedgerEntry, found: Facts | None = None) -> list[str]:
    """What is wrong with these answers."""
    verdict = Verdict()
    judge.judge_answers(ASKED, ledger, found or facts(), verdict)
    return [wrong.what for wrong in verdict.wrong]


def test_a_good_day_has_nothing_wrong() -> None:
    assert answers(said(0), said(1), said(2)) == []


@pytest.mark.parametrize(
    ("ledger", "wrong"),
    [
        ([said(0), said(1)], "lost"),
        ([said(0), said(1), said(2), said(2, 4, props={"fleetprompt_directive": "x.0"})], "doubled"),
        ([said(0), said(1), said(2), said(2, 4)], "posted 2 times"),
        ([said(0), said(1), said(2, root_id="p9")], "answered in another place"),
        ([said(0), said(1, 3), said(2, 2)], "answered out of order"),
        ([said(0), said(1), said(2), said(2, 4, message="Sorry.", props={})], "an answer to nobody"),
        ([said(0), said(1), said(2), said(2, 4, message="Sorry.")], "doubled"),
    ],
)
def test_what_is_wrong_with_answers_is_found(ledger: list[LedgerEntry], wrong: str) -> None:
    assert wrong in answers(*ledger)


@pytest.mark.parametrize(
    ("reasons", "wrong"),
    [
        ([token(1)], []),
        ([], ["hold lost"]),
        ([token(1)] * 2, ["held 2 times"]),
        ([token(1), "x"], ["a hold that nobody asked for"]),
    ],
)
def test_each_hold_is_there_once(reasons: list[str], wrong: list[str]) -> None:
    holds = [Hold(n, f"H{n}", "1042", reason, f"k{n}") for n, reason in enumerate(reasons)]
    verdict = Verdict()
    judge.judge_holds(ASKED, holds, facts(), verdict)
    assert [one.what for one in verdict.wrong] == wrong


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        (facts(), []),
        (facts(jobs=[{"id": "j", "tenant": "acme", "kind": "execution.run", "state": "dead", "last_error": "x"}]), ["not ended"]),
        (facts(directives=[{"id": "d", "tenant": "acme", "name": "post", "state": "outcome_unknown", "error_code": None, "error": ""}]), ["not ended"]),
        (facts(effects=[{"key": "d.0", "tenant": "acme", "state": "sending", "error": ""}]), ["not ended"]),
        (facts(runs=[*GOOD_RUNS, GOOD_RUNS[0]]), ["2 runs for one mention"]),
        (facts(runs=[{**GOOD_RUNS[0], "state": "failed", "error_code": "job_died"}]), ["run failed"]),
    ],
)  # fmt: skip
def test_everything_has_ended_well(found: Facts, wrong: list[str]) -> None:
    verdict = Verdict()
    judge.judge_states(found, verdict, model_was_struck=True)
    assert [one.what for one in verdict.wrong] == wrong


def probe(status: int | None, at_s: float, path: str = "/readyz") -> Probe:
    return Probe("web", path, at_s, at_s + 0.01, status)


@pytest.mark.parametrize(
    ("probes", "wrong"),
    [
        ([probe(200, 1), probe(503, 11), probe(None, 11.5), probe(200, 12.4)], []),
        ([probe(503, 11), probe(200, 11.1), probe(200, 12.4)], ["wrong probe"]),
        ([probe(500, 1), probe(503, 11), probe(200, 12.4)], ["wrong probe"]),
        ([probe(503, 11), probe(500, 1, "/metrics"), probe(200, 12.4)], ["wrong probe"]),
        ([probe(503, 11), probe(503, 13), probe(200, 16)], ["ready too late"]),
        ([probe(None, 10.1), probe(200, 12.4)], ["silent while Postgres was away"]),
    ],
)
def test_probes_tell_the_truth(probes: list[Probe], wrong: list[str]) -> None:
    """Postgres is away from 10 to 12."""
    verdict = Verdict()
    judge.judge_probes(probes, [Span(10, 12)], {}, 1.0, verdict)
    assert [one.what for one in verdict.wrong] == wrong


@pytest.mark.parametrize(
    ("went_on_s", "wrong"), [(9.0, []), (13.5, []), (14.5, ["resumed too late"]), (None, ["never resumed"])]
)
def test_orphans_go_on_in_time_and_time_without_postgres_does_not_count(
    went_on_s: float | None, wrong: list[str]
) -> None:
    """Struck at 0; Postgres is away from 2 to 6."""
    with reachable_directory() as directory:
        watch = DatabaseWatch(ServerAddress(directory, 5432), lambda: 8.0)
    watch.away, watch.orphans = [Span(2, 6)], [Orphan(uuid4(), 1, 0.0, "kill", went_on_s)]
    verdict = Verdict()
    judge.judge_recovery(watch, 1.0, verdict)
    assert [one.what for one in verdict.wrong] == wrong


def test_the_watch_knows_whose_jobs_a_killed_worker_leaves_and_when_they_go_on() -> None:
    now_s = [1.0]
    with reachable_directory() as directory:
        watch = DatabaseWatch(ServerAddress(directory, 5432), lambda: now_s[0])
    [held, other] = uuid4(), uuid4()
    rows = [
        {"id": held, "attempt": 1, "state": "running", "worker": "host:4711:abc"},
        {"id": other, "attempt": 1, "state": "running", "worker": "host:47:abc"},
    ]
    watch.note(rows, [(4711, 0.5, "kill of worker-0")])
    assert [orphan.job_id for orphan in watch.orphans] == [held]
    now_s[0] = 3.0
    watch.note([{**rows[0], "attempt": 2}, rows[1]], [])
    assert [seconds for seconds, _ in watch.recoveries()] == [2.5]


async def test_the_watch_reads_a_workers_number_out_of_its_name() -> None:
    """As `Worker` makes it; otherwise no orphan would be seen, and every run held."""
    async with fresh_house() as house:
        worker = Worker(house.tenancy, Registry(), Settings(database_url=SecretStr(house.url)))
        assert f":{os.getpid()}:" in worker.id


@pytest.mark.parametrize(("must_orphan", "wrong"), [(False, []), (True, ["no orphan was seen"])])
def test_a_watch_that_sees_no_orphan_of_many_killed_workers_has_no_eyes(
    must_orphan: bool, wrong: list[str]
) -> None:
    with reachable_directory() as directory:
        watch = DatabaseWatch(ServerAddress(directory, 5432), lambda: 8.0)
    verdict = Verdict()
    judge.judge_recovery(watch, 1.0, verdict, must_orphan=must_orphan)
    assert [one.what for one in verdict.wrong] == wrong


def test_a_slow_stop_is_found() -> None:
    verdict = Verdict()
    judge.judge_stop({"up-0": 5.5}, 1.0, verdict)
    assert [one.what for one in verdict.wrong] == ["stopped too late"]

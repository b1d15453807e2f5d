"""The judge. What the outside saw decides: each question answered once, each side effect there once, nothing else.

It looks at the append-only ledgers of the sandboxes; the database serves to find whose answer a sentence was.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

from fleetprompt.sandbox.mattermost.ledger import LedgerEntry
from fleetprompt.sandbox.order_desk import Hold
from tests.chaos.facts import Facts
from tests.chaos.place import TOKEN, token
from tests.chaos.plan import Mention
from tests.chaos.watch import PROBE_EVERY_S, DatabaseWatch, Probe, Span

RECOVERED_S = 10.0
READY_S = 3.0
STOPPED_S = 5.0
TOLD_S = 1.5
"""An absence of Postgres that is so long is noticed by whoever asks."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A mention as it was posted."""

    mention: Mention
    post_id: str
    root_id: str
    channel_id: str
    bot_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Wrong:
    """One thing that must not be. number: of the mention; None for what belongs to none."""

    what: str
    number: int | None = None
    detail: str = ""


@dataclass
class Verdict:
    """What was found."""

    wrong: list[Wrong] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, dict[str, float]] = field(default_factory=dict)
    """Measured times: p50, p99, most and bound."""
    machine_factor: float = 1.0
    """How slow the machine was when it began; only the short form widens its bounds by this."""
    slowest: list[tuple[float, int, float]] = field(default_factory=list)
    """Seconds to the answer, the mention, and when it was asked: the twenty that waited longest."""

    @property
    def holds(self) -> bool:
        return not self.wrong

    def as_json(self) -> dict[str, Any]:
        return {"holds": self.holds, **asdict(self)}


def judge_answers(
    asked: Sequence[Asked], ledger: Sequence[LedgerEntry], facts: Facts, verdict: Verdict
) -> None:
    """Each question has one answer, in its thread, by its own organization's bot, and threads are in order."""
    bots = {item.bot_id for item in asked}
    by_post = {item.post_id: item.mention.number for item in asked}
    by_run = {run["id"]: by_post.get(run["post_id"]) for run in facts.runs}
    answers: dict[int, list[LedgerEntry]] = defaultdict(list)
    for entry in ledger:
        if entry.user_id in bots:
            number = _answered(entry, by_run)
            if number is None:
                verdict.wrong.append(Wrong("an answer to nobody", detail=f"post {entry.post_id}"))
            else:
                answers[number].append(entry)
    for item in asked:
        _judge_one(item, answers[item.mention.number], verdict)
    _judge_keys(ledger, verdict)
    _judge_order(asked, answers, verdict)
    waits = [
        (
            (answers[item.mention.number][0].create_at - item.at_ms) / 1000,
            item.mention.number,
            item.mention.at_s,
        )
        for item in asked
        if answers[item.mention.number]
    ]
    verdict.slowest = sorted(waits, reverse=True)[:20]
    verdict.seconds["mention to answer"] = quantiles([seconds for seconds, *_ in waits])
    given_up = sum(not TOKEN.search(entry.message) for entries in answers.values() for entry in entries)
    verdict.counts |= {
        "mentions": len(asked),
        "answers": sum(map(len, answers.values())),
        "apologies": given_up,
    }


def _answered(entry: LedgerEntry, by_run: Mapping[str, int | None]) -> int | None:
    found = TOKEN.search(entry.message)
    if found:
        return int(found[1])
    return by_run.get(str(entry.props.get("fleetprompt_execution", "")))


def _judge_one(item: Asked, answers: Sequence[LedgerEntry], verdict: Verdict) -> None:
    number = item.mention.number
    if not answers:
        verdict.wrong.append(Wrong("lost", number))
    if len(answers) > 1:
        posts = ", ".join(
            f"{entry.post_id} ({entry.props.get('fleetprompt_directive')})" for entry in answers
        )
        verdict.wrong.append(Wrong("doubled", number, posts))
    for entry in answers:
        if (entry.root_id, entry.channel_id, entry.user_id) != (item.root_id, item.channel_id, item.bot_id):
            verdict.wrong.append(Wrong("answered in another place", number, entry.post_id))


def _judge_keys(ledger: Sequence[LedgerEntry], verdict: Verdict) -> None:
    keys = Counter(
        entry.props["fleetprompt_directive"] for entry in ledger if "fleetprompt_directive" in entry.props
    )
    for key, count in keys.items():
        if count > 1:
            verdict.wrong.append(Wrong(f"posted {count} times", detail=f"effect {key}"))


def _judge_order(
    asked: Sequence[Asked], answers: Mapping[int, Sequence[LedgerEntry]], verdict: Verdict
) -> None:
    threads: dict[str, list[Asked]] = defaultdict(list)
    for item in asked:
        threads[item.root_id].append(item)
    for items in threads.values():
        wanted = [item.mention.number for item in sorted(items, key=lambda item: item.at_ms)]
        arrived = [(answers[n][0].arrival, n) for n in wanted if answers.get(n)]
        for (before, one), (after, other) in pairwise(arrived):
            if before > after:
                verdict.wrong.append(Wrong("answered out of order", other, f"before {token(one)}"))


def judge_holds(asked: Sequence[Asked], holds: Sequence[Hold], facts: Facts, verdict: Verdict) -> None:
    """Each hold that was asked for is there once."""
    placed = Counter(hold.reason for hold in holds)
    failed_runs = {run["post_id"] for run in facts.runs if run["state"] == "failed"}
    wanted = [item for item in asked if item.mention.hold]
    for item in wanted:
        count = placed.pop(token(item.mention.number), 0)
        if count > 1:
            verdict.wrong.append(Wrong(f"held {count} times", item.mention.number))
        if count == 0 and item.post_id not in failed_runs:
            verdict.wrong.append(Wrong("hold lost", item.mention.number))
    for reason, count in placed.items():
        verdict.wrong.append(Wrong("a hold that nobody asked for", detail=f"{reason}, {count} times"))
    verdict.counts |= {"holds asked for": len(wanted), "holds placed": len(holds)}


def judge_states(facts: Facts, verdict: Verdict, *, model_was_struck: bool) -> None:
    """Everything has ended, and nothing failed that had no reason to."""
    verdict.wrong += [Wrong("not ended", detail=text) for text in facts.unfinished()]
    for run in facts.runs:
        if run["state"] == "failed" and not (model_was_struck and run["error_code"] in MODEL_FAULTS):
            verdict.wrong.append(
                Wrong("run failed", detail=f"run {run['id']} of {run['tenant']}: {run['error_code']}")
            )
    for directive in facts.directives:
        if directive["state"] == "failed":
            text = f"{directive['name']} {directive['id']}: {directive['error_code']} {directive['error']}"
            verdict.wrong.append(Wrong("directive failed", detail=text))
    per_post = Counter(run["post_id"] for run in facts.runs)
    for post_id, count in per_post.items():
        if count > 1:
            verdict.wrong.append(Wrong(f"{count} runs for one mention", detail=f"post {post_id}"))
    verdict.counts |= {
        "runs": len(facts.runs),
        "directives": len(facts.directives),
        "effects": len(facts.effects),
    }


MODEL_FAULTS = {"model_timed_out", "model_unreachable", "timed_out", "unreachable"}


def judge_recovery(
    watch: DatabaseWatch, factor: float, verdict: Verdict, *, must_orphan: bool = False
) -> None:
    """Orphaned jobs are gone on with in time, by their 99th percentile; and none was given up.

    must_orphan: workers died so often that some were at work; who saw no orphan has no eyes.
    """
    found = watch.recoveries()
    if must_orphan and not found:
        verdict.wrong.append(
            Wrong("no orphan was seen", detail="the watch does not know whose jobs are whose")
        )
    times = quantiles([seconds for seconds, _ in found], RECOVERED_S * factor)
    verdict.seconds["orphan to its next progress"] = times
    verdict.counts |= {"orphans": len(found), "times Postgres was away": len(watch.away)}
    for seconds, orphan in found:
        if orphan.went_on_s is None:
            verdict.wrong.append(Wrong("never resumed", detail=f"job {orphan.job_id} after {orphan.by}"))
        elif seconds > times["bound"] and times["p99"] > times["bound"]:
            text = f"job {orphan.job_id} {seconds:.1f} s after {orphan.by} at {orphan.struck_s:.1f} s"
            verdict.wrong.append(Wrong("resumed too late", detail=text))
    verdict.wrong += [Wrong("dead letter", detail=f"job {job_id}") for job_id in watch.dead_letters]


def judge_probes(
    probes: Sequence[Probe],
    away: Sequence[Span],
    down: Mapping[str, Sequence[Span]],
    factor: float,
    verdict: Verdict,
) -> None:
    """/readyz is 503 while Postgres is away and 200 soon after; nothing ever answers 500. down: struck web processes."""
    for probe in probes:
        if probe.status is not None and not _may_answer(probe, away):
            text = f"{probe.child} {probe.path} said {probe.status} at {probe.began_s:.1f} s"
            verdict.wrong.append(Wrong("wrong probe", detail=text))
    delays = []
    for span in away:
        for child in {probe.child for probe in probes}:
            delay_s = _ready_after(span.ended_s, [probe for probe in probes if probe.child == child])
            if any(
                other.overlap_s(span.began_s, span.ended_s + delay_s)
                for other in [*down.get(child, []), *(s for s in away if s is not span)]
            ):
                continue
            delays.append(delay_s)
            if not _said_so(span, [probe for probe in probes if probe.child == child]):
                verdict.wrong.append(
                    Wrong("silent while Postgres was away", detail=f"{child} at {span.began_s:.1f} s")
                )
    verdict.seconds["Postgres back to ready"] = times = quantiles(delays, READY_S * factor)
    if times["most"] > times["bound"]:
        verdict.wrong.append(Wrong("ready too late", detail=f"{times['most']:.1f} s after Postgres"))
    verdict.counts["probes"] = len(probes)


def _may_answer(probe: Probe, away: Sequence[Span]) -> bool:
    if probe.path != "/readyz":
        return probe.status == 200
    within = any(span.began_s + 0.2 < probe.began_s and probe.ended_s < span.ended_s - 0.2 for span in away)
    return probe.status == 503 or (probe.status == 200 and not within)


def _said_so(away: Span, probes: Sequence[Probe]) -> bool:
    """Whether it told within that time that it is not ready; of a short absence it may hear too late."""
    if away.ended_s - away.began_s < TOLD_S:
        return True
    return any(
        p.path == "/readyz" and p.status == 503 and away.began_s < p.ended_s < away.ended_s + PROBE_EVERY_S
        for p in probes
    )


def _ready_after(back_s: float, probes: Sequence[Probe]) -> float:
    """Seconds from then to the first probe that said ready; infinite if none did."""
    ready = (probe.ended_s for probe in probes if probe.path == "/readyz" and probe.status == 200)
    return next((ended_s - back_s for ended_s in ready if ended_s >= back_s), float("inf"))


def judge_stop(took_s: Mapping[str, float], factor: float, verdict: Verdict) -> None:
    """A stop takes less than five seconds."""
    verdict.seconds["Ctrl-C to the end"] = times = quantiles(list(took_s.values()), STOPPED_S * factor)
    if times["most"] > times["bound"]:
        verdict.wrong.append(Wrong("stopped too late", detail=str(dict(took_s))))


def quantiles(values: Sequence[float], bound: float = float("inf")) -> dict[str, float]:
    """p50, p99 and the most of what was measured, beside its bound; zeros for nothing."""
    ordered = sorted(values) or [0.0]
    last = len(ordered) - 1

    def at(share: float) -> float:
        return round(ordered[min(last, int(len(ordered) * share))], 2)

    return {"p50": at(0.5), "p99": at(0.99), "most": round(ordered[-1], 2), "bound": round(bound, 2)}

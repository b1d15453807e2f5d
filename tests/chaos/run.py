"""One round: open the place, start the fleet, load and strike, wait until all is quiet, judge."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import asyncpg

from fleetprompt.kernel.errors import FleetPromptError
from tests.chaos import facts as database_facts
from tests.chaos import judge
from tests.chaos.fleet import Child, Fleet
from tests.chaos.judge import Asked, Verdict, Wrong
from tests.chaos.place import Place, open_place
from tests.chaos.plan import Attack, Blow, Mention, Round
from tests.chaos.report import Report
from tests.chaos.strike import Attacker, Skipped
from tests.chaos.watch import DatabaseWatch, Prober, Span, machine_factor

UP_S = 90.0
STUCK_S = 90.0
LAST_LOOK_S = 1.0
DATABASE_BLOWS = {
    Blow.POSTGRES_KILL,
    Blow.POSTGRES_RESTART,
    Blow.POSTGRES_AWAY,
    Blow.CUT_BACKENDS,
    Blow.CUT_LISTEN,
    Blow.FULL_DISK,
}
MODEL_BLOWS = {Blow.MODEL_RESET, Blow.MODEL_BLACK_HOLE}


@dataclass
class Stage:
    """A round under way."""

    chaos: Round
    report: Report
    place: Place
    fleet: Fleet
    watch: DatabaseWatch
    attacker: Attacker
    began_s: float
    probers: list[Prober] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    down: dict[str, list[Span]] = field(default_factory=dict)
    """When each child with a web process was struck, until it answered again."""

    watchers: list[asyncio.Task[None]] = field(default_factory=list)

    def now_s(self) -> float:
        return time.monotonic() - self.began_s

    def watchers_that_ended(self) -> list[str]:
        """A judge without eyes finds nothing wrong."""
        return [str(task) for task in self.watchers if task.done()]

    def tell(self, text: str) -> None:
        self.report.tell(self.now_s(), text)


async def play(
    chaos: Round, plan: Sequence[Attack], load: Sequence[Mention], report: Report, *, widened: bool = False
) -> Verdict:
    """Play a round to its verdict. widened: bounds of time are multiplied by how busy the machine is."""
    verdict = Verdict(machine_factor=machine_factor())
    factor = verdict.machine_factor if widened else 1.0
    async with open_place(chaos) as place, _opened(chaos, place, report) as stage:
        await _all_up(stage)
        async with asyncio.TaskGroup() as group:
            group.create_task(_ask_all(stage, load))
            group.create_task(_strike_all(stage, plan))
        await _settled(stage, verdict)
        took_s = await stage.fleet.stop()
        await _judge(stage, plan, verdict, factor)
        judge.judge_stop(took_s, factor, verdict)
        await report.trace(verdict, stage.asked, place.environment(chaos))
    report.write(verdict, plan, stage.asked)
    return verdict


@contextlib.asynccontextmanager
async def _opened(chaos: Round, place: Place, report: Report) -> AsyncIterator[Stage]:
    """The fleet started, with its watchers; all ended whatever happens."""
    began_s = time.monotonic()

    def now_s() -> float:
        return time.monotonic() - began_s

    clock = place.data_dir.parent / "clock"
    clock.write_text("0")
    fleet = Fleet(
        chaos.roles, place.environment(chaos), clock, report.logs, lambda text: report.tell(now_s(), text)
    )
    watch = DatabaseWatch(place.address, now_s)
    attacker = Attacker(place, fleet, watch, clock, chaos.dice("backends"))
    stage = Stage(chaos, report, place, fleet, watch, attacker, began_s)
    stage.probers = [Prober(child, now_s) for child in fleet.children if child.has_web]
    running = [watch.run(), *(prober.run() for prober in stage.probers)]
    tasks = stage.watchers = [asyncio.create_task(each) for each in running]
    fleet.start()
    try:
        yield stage
    finally:
        await fleet.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _all_up(stage: Stage) -> None:
    """Until every organization's bot is connected and the web process says that it is ready."""
    hub = stage.place.chat.site.hub

    def connected() -> bool:
        bots = [hub.sessions.get(bot.id, {}).values() for bot in stage.place.bots.values()]
        return all(any(session.socket for session in sessions) for sessions in bots)

    def ready() -> bool:
        return all(
            any(p.status == 200 and p.path == "/readyz" for p in prober.seen) for prober in stage.probers
        )

    async with asyncio.timeout(UP_S):
        while not (connected() and ready()):
            await asyncio.sleep(0.05)
    stage.tell("all processes are up; the load begins")


async def _ask_all(stage: Stage, load: Sequence[Mention]) -> None:
    began_s, posts = stage.now_s(), dict[int, str]()
    for mention in load:
        await asyncio.sleep(max(0.0, began_s + mention.at_s - stage.now_s()))
        post_id = posts[mention.number] = stage.place.ask(mention, posts)
        root_id = post_id if mention.thread is None else posts[mention.thread]
        channel = stage.place.channels[mention.tenant, mention.channel]
        post = stage.place.chat.find_post(post_id)
        bot = stage.place.bots[mention.tenant]
        stage.asked.append(Asked(mention, post_id, root_id, channel, bot.id, post.create_at))
    stage.tell("the last mention is posted")


async def _strike_all(stage: Stage, plan: Sequence[Attack]) -> None:
    began_s = stage.now_s()

    async def strike(attack: Attack) -> None:
        await asyncio.sleep(max(0.0, began_s + attack.at_s - stage.now_s()))
        stage.tell(f"strike: {attack.blow}")
        outage = _note_down(stage, attack)
        if attack.blow in DATABASE_BLOWS:
            stage.fleet.database_struck()
        try:
            stage.tell(f"  over: {attack.blow}: {await stage.attacker.strike(attack)}")
        except Skipped as skipped:
            stage.tell(f"  skipped: {attack.blow}: {skipped}")
        except (OSError, ValueError, FleetPromptError, asyncpg.PostgresError) as error:
            stage.tell(f"  failed: {attack.blow}: {error!r}")
        if outage is not None:
            outage.ended_s = stage.now_s()

    async with asyncio.TaskGroup() as group:
        for attack in plan:
            group.create_task(strike(attack))


def _note_down(stage: Stage, attack: Attack) -> Span | None:
    """A struck web process is not asked how soon it is ready."""
    if attack.victim is None or not stage.fleet.children[attack.victim].has_web:
        return None
    outage = Span(stage.now_s())
    stage.down.setdefault(stage.fleet.children[attack.victim].name, []).append(outage)
    return outage


async def _settled(stage: Stage, verdict: Verdict) -> None:
    """Until every question has an answer and no job is left; then a moment longer, in which nothing more may come."""
    began_s = still_since_s = stage.now_s()
    seen = -1
    stage.tell("waiting until all is quiet")
    while not (_all_answered(stage) and await _no_job(stage)):
        if len(stage.place.chat.ledger) > seen:  # a backlog may take its time
            seen, still_since_s = len(stage.place.chat.ledger), stage.now_s()
        if stage.now_s() - still_since_s > STUCK_S:
            verdict.wrong.append(Wrong("stuck", detail=f"no answer came for {STUCK_S:.0f} s without attacks"))
            break
        await asyncio.sleep(0.2)
    await asyncio.sleep(LAST_LOOK_S)
    verdict.seconds["last attack to quiet"] = judge.quantiles([stage.now_s() - began_s])
    stage.tell("all is quiet, or long enough waited for")


def _all_answered(stage: Stage) -> bool:
    bots = {bot.id for bot in stage.place.bots.values()}
    return sum(entry.user_id in bots for entry in stage.place.chat.ledger) >= len(stage.asked)


async def _no_job(stage: Stage) -> bool:
    try:
        return await database_facts.open_jobs(stage.place.address) == 0
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
        return False


async def _judge(stage: Stage, plan: Sequence[Attack], verdict: Verdict, factor: float) -> None:
    found = await database_facts.gather(stage.place.address)
    struck = {attack.blow for attack in plan}
    judge.judge_answers(stage.asked, stage.place.chat.ledger, found, verdict)
    judge.judge_holds(stage.asked, stage.place.desk.ledger, found, verdict)
    judge.judge_states(found, verdict, model_was_struck=bool(struck & MODEL_BLOWS))
    judge.judge_recovery(stage.watch, factor, verdict, must_orphan=_must_orphan(stage, plan))
    verdict.wrong += [Wrong("a watcher ended", detail=name) for name in stage.watchers_that_ended()]
    probes = [probe for prober in stage.probers for probe in prober.seen]
    judge.judge_probes(probes, stage.watch.away, _down(stage), factor, verdict)
    verdict.wrong += [Wrong("ended by itself", detail=name) for name in stage.fleet.ended_by_themselves]
    verdict.counts["attacks"] = len(plan)


def _must_orphan(stage: Stage, plan: Sequence[Attack]) -> bool:
    """So many workers are killed in the middle of the load that all of them idle is out of the question."""
    children = stage.fleet.children
    return sum(a.blow is Blow.KILL and a.victim is not None and children[a.victim].works for a in plan) >= 10


def _down(stage: Stage) -> dict[str, list[Span]]:
    """From the blow to the first answer after it."""
    found: dict[str, list[Span]] = {}
    for prober in stage.probers:
        for outage in stage.down.get(prober.child.name, []):
            answers = (
                p.ended_s for p in prober.seen if p.status is not None and p.began_s > outage.ended_s + 1
            )
            span = Span(outage.began_s, next(answers, float("inf")) + 1)
            found.setdefault(prober.child.name, []).append(span)
    return found


__all__ = ["Child", "play"]

"""What is looked at while it happens: is Postgres there, who goes on with orphaned jobs, what do the probes say."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg

from fleetprompt.database.embedded import ServerAddress
from tests.chaos.fleet import Child

LOOK_EVERY_S = 0.1
PROBE_EVERY_S = 0.2
PROBE_S = 5.0
ROUNDS_A_SECOND = 700  # of `machine_factor`, on a slow core
PATHS = ("/readyz", "/healthz", "/metrics")
LOOK = "select id, attempt, state, worker from public.job"

Clock = Callable[[], float]


@dataclass
class Span:
    """From when to when; still open without an end."""

    began_s: float
    ended_s: float = float("inf")

    def overlap_s(self, began_s: float, ended_s: float) -> float:
        return max(0.0, min(self.ended_s, ended_s) - max(self.began_s, began_s))


@dataclass
class Orphan:
    """A job whose worker was struck, until somebody goes on with it."""

    job_id: UUID
    attempt: int
    struck_s: float
    by: str
    went_on_s: float | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """One HTTP request to a web process. status: None = no answer (it is down, frozen, or just died)."""

    child: str
    path: str
    began_s: float
    ended_s: float
    status: int | None


class DatabaseWatch:
    """Looks at the jobs all the time, and so knows when Postgres was away."""

    def __init__(self, address: ServerAddress, clock: Clock) -> None:
        self.away: list[Span] = []
        self.standing: list[Span] = []
        """When every worker was frozen at once: nobody was there to go on."""
        self.errors: list[str] = []
        self.orphans: list[Orphan] = []
        self.dead_letters: set[UUID] = set()
        self._address = address
        self._clock = clock
        self._struck: list[tuple[int, float, str]] = []  # pid, when, by what

    def struck(self, pid: int, by: str, *, nobody_left: bool = False) -> None:
        """What this process holds is an orphan from now on. nobody_left: so are those that wait, once more."""
        if nobody_left:
            for orphan in self.orphans:
                if orphan.went_on_s is None:
                    orphan.struck_s, orphan.by = self._clock(), f"{orphan.by}, then {by}"
        self._struck.append((pid, self._clock(), by))

    def stand_still(self) -> Span:
        """From now on no worker moves."""
        self.standing.append(Span(self._clock()))
        return self.standing[-1]

    def go_on(self, standing: Span) -> None:
        """One moves again."""
        standing.ended_s = self._clock()

    def lost_s(self, began_s: float, ended_s: float) -> float:
        """Seconds of that time in which Postgres took no logins, or every worker was frozen."""
        lost, until_s = 0.0, began_s
        for span in sorted([*self.away, *self.standing], key=lambda span: span.began_s):
            lost += span.overlap_s(until_s, ended_s)
            until_s = max(until_s, min(span.ended_s, ended_s))
        return lost

    def recoveries(self) -> list[tuple[float, Orphan]]:
        """Seconds until each orphan was gone on with, time without Postgres or any worker not counted."""
        found = []
        for orphan in self.orphans:
            ended_s = orphan.went_on_s if orphan.went_on_s is not None else self._clock()
            lost_s = self.lost_s(orphan.struck_s, ended_s)
            found.append((ended_s - orphan.struck_s - lost_s, orphan))
        return sorted(found, key=lambda pair: pair[0])

    async def run(self) -> None:
        """For ever."""
        while True:
            try:
                connection = await asyncpg.connect(**self._address.kwargs(), timeout=2)
                if self.away and self.away[-1].ended_s == float("inf"):
                    self.away[-1].ended_s = self._clock()
                try:
                    await self._look_on(connection)
                finally:
                    connection.terminate()
            except Exception as error:
                self.errors.append(repr(error))
            if not self.away or self.away[-1].ended_s != float("inf"):
                self.away.append(Span(self._clock()))
            await asyncio.sleep(0.02)

    async def _look_on(self, connection: asyncpg.Connection[Any]) -> None:
        while True:
            struck, self._struck = self._struck, []
            try:
                rows = await connection.fetch(LOOK, timeout=5)
            except BaseException:
                self._struck = struck + self._struck
                raise
            self.note(rows, struck)
            await asyncio.sleep(LOOK_EVERY_S)

    def note(self, rows: Iterable[Any], struck: list[tuple[int, float, str]]) -> None:
        """The jobs as they are now, and the processes (number, when, by what) that were struck since the last look."""
        now_s, by_id = self._clock(), {row["id"]: row for row in rows}
        self.dead_letters |= {job_id for job_id, row in by_id.items() if row["state"] == "dead"}
        for orphan in self.orphans:
            row = by_id.get(orphan.job_id)
            if orphan.went_on_s is None and (row is None or row["attempt"] > orphan.attempt):
                orphan.went_on_s = now_s
        for pid, struck_s, by in struck:
            for row in by_id.values():
                if row["state"] == "running" and f":{pid}:" in (row["worker"] or ""):
                    self.orphans.append(Orphan(row["id"], row["attempt"], struck_s, by))


@dataclass
class Prober:
    """Asks a web process how it is, several times a second."""

    child: Child
    clock: Clock
    seen: list[Probe] = field(default_factory=list)

    async def run(self) -> None:
        """For ever."""
        while True:
            for path in PATHS:
                began_s = self.clock()
                status = await get(self.child.port, path)
                self.seen.append(Probe(self.child.name, path, began_s, self.clock(), status))
            await asyncio.sleep(PROBE_EVERY_S)


async def get(port: int, path: str) -> int | None:
    """The status of one GET; None without an answer."""
    try:
        async with asyncio.timeout(PROBE_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode())
                line = await reader.readline()
                return int(line.split()[1]) if line else None
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError, IndexError):
        return None


def machine_factor() -> float:
    """How much slower this machine is, at this moment, than an idle one on which the bounds were set; at least 1.

    A second of work, and how long it took: others that compute here make it longer.
    """
    began_s, work_until_s = time.perf_counter(), time.process_time() + 1.0
    rounds = 0
    while time.process_time() < work_until_s:
        sum(n * n for n in range(10_000))
        rounds += 1
    slowness = max(1.0, ROUNDS_A_SECOND / rounds)
    return round(slowness * max(1.0, time.perf_counter() - began_s), 1)

"""Each kind of attack, carried out."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg

from tests.chaos.fleet import Child, Fleet
from tests.chaos.place import Place
from tests.chaos.plan import Attack, Blow
from tests.chaos.watch import DatabaseWatch
from tests.small_disk import fill

Strike = Callable[[Attack], Awaitable[str]]
"""Carries an attack out; says what it hit."""

BACKENDS = "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and application_name like 'fleetprompt-%'"
LISTENERS = "select pid from pg_stat_activity where datname = current_database() and query ilike 'listen %'"


class Skipped(Exception):
    """This machine cannot do that; says why."""


class Attacker:
    """Knows how to strike what."""

    def __init__(
        self, place: Place, fleet: Fleet, watch: DatabaseWatch, clock: Path, dice: random.Random
    ) -> None:
        self.place, self.fleet, self.watch, self.clock, self.dice = place, fleet, watch, clock, dice
        self._strikes: dict[Blow, Strike] = {
            Blow.KILL: self._kill,
            Blow.FREEZE: self._freeze,
            Blow.POSTGRES_KILL: self._postgres_kill,
            Blow.POSTGRES_RESTART: self._postgres_restart,
            Blow.POSTGRES_AWAY: self._postgres_away,
            Blow.CUT_LISTEN: self._cut_listen,
            Blow.CUT_BACKENDS: self._cut_backends,
            Blow.FULL_DISK: self._full_disk,
            Blow.CLOCK_JUMP: self._clock_jump,
            Blow.BROKER_EMPTIED: self._broker_emptied,
        }

    async def strike(self, attack: Attack) -> str:
        """Returns what was hit, when it is over. Raises Skipped."""
        if attack.blow in self._strikes:
            return await self._strikes[attack.blow](attack)
        return await self._far_side(attack)

    def _victim(self, attack: Attack) -> Child:
        assert attack.victim is not None
        return self.fleet.children[attack.victim]

    async def _kill(self, attack: Attack) -> str:
        child = self._victim(attack)
        pid = self.fleet.kill(child)
        if pid is None:
            return f"{child.name} was down already"
        self.watch.struck(pid, f"kill of {child.name}", nobody_left=self.fleet.nobody_works)
        return f"{child.name}, pid {pid}"

    async def _freeze(self, attack: Attack) -> str:
        child = self._victim(attack)
        pid = self.fleet.freeze(child)
        if pid is None:
            return f"{child.name} was down already"
        self.watch.struck(pid, f"freeze of {child.name}")
        standing = self.watch.stand_still() if self.fleet.all_workers_frozen else None
        await asyncio.sleep(attack.lasts_s)
        self.fleet.thaw(child, pid)
        if standing is not None:
            self.watch.go_on(standing)
        return f"{child.name}, pid {pid}"

    async def _postgres_kill(self, _: Attack) -> str:
        pid = self.place.server.postmaster_pid()
        await self.place.server.kill()
        return f"postmaster {pid}"

    async def _postgres_restart(self, _: Attack) -> str:
        pid = self.place.server.postmaster_pid()
        await self.place.server.restart()
        return f"postmaster {pid}"

    async def _postgres_away(self, attack: Attack) -> str:
        """Nobody is left to start it, until somebody notices that the keeper is gone."""
        keeper = self.place.server.keeper_pid()
        if keeper is not None:
            os.kill(keeper, signal.SIGSTOP)
        await self.place.server.kill()
        await asyncio.sleep(attack.lasts_s)
        if keeper is not None:
            os.kill(keeper, signal.SIGKILL)
        return f"keeper {keeper} and its server"

    async def _cut_listen(self, _: Attack) -> str:
        return await self._cut(LISTENERS, None)

    async def _cut_backends(self, attack: Attack) -> str:
        return await self._cut(BACKENDS, attack.count)

    async def _cut(self, which: str, count: int | None) -> str:
        try:
            connection = await asyncpg.connect(**self.place.address.kwargs(), timeout=5)
        except (OSError, asyncpg.PostgresError, TimeoutError) as error:
            return f"Postgres was away: {type(error).__name__}"
        try:
            pids = sorted(row["pid"] for row in await connection.fetch(which))
            chosen = pids if count is None else self.dice.sample(pids, min(count, len(pids)))
            for pid in chosen:
                await connection.fetchval("select pg_terminate_backend($1)", pid)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            return f"Postgres went away: {type(error).__name__}"
        finally:
            connection.terminate()
        return f"{len(chosen)} of {len(pids)} backends"

    async def _full_disk(self, attack: Attack) -> str:
        if not self.place.has_small_disk:
            raise Skipped("a small file system cannot be mounted here")
        ballast = self.place.data_dir / "ballast"
        try:
            for size_mb in (1000, 1):  # what was freed meanwhile too
                await asyncio.to_thread(fill, ballast.with_suffix(f".{size_mb}"), size_mb)
            await asyncio.sleep(attack.lasts_s)
        finally:
            for path in ballast.parent.glob("ballast.*"):
                path.unlink()
        return "until room was made"

    async def _clock_jump(self, attack: Attack) -> str:
        self.clock.write_text(f"{attack.lasts_s}")
        return f"by {attack.lasts_s:+.0f} s, all processes"

    async def _broker_emptied(self, attack: Attack) -> str:
        assert self.place.broker is not None
        await self.place.broker.empty(attack.lasts_s)
        return f"away for {attack.lasts_s:.1f} s and more"

    async def _far_side(self, attack: Attack) -> str:
        """What the sandboxes can do by themselves."""
        chat, desk, model, count = self.place.chat, self.place.desk, self.place.model, attack.count
        match attack.blow:
            case Blow.CHAT_RESET:
                chat.drop_requests(count)
                chat.http.abort_connections()
            case Blow.CHAT_BLACK_HOLE:
                chat.freeze(attack.lasts_s)
            case Blow.CHAT_RESTART:
                await chat.restart(attack.lasts_s)
            case Blow.CHAT_COMMITS_AND_DROPS:
                chat.commit_then_drop(count)
            case Blow.CHAT_COMMITS_LATE:
                chat.delay_posts(count, attack.lasts_s)
            case Blow.DESK_COMMITS_AND_DROPS:
                desk.commit_then_drop(count)
            case Blow.DESK_RESET:
                desk.drop_requests(count)
            case Blow.MODEL_RESET:
                model.resets += count
            case Blow.MODEL_BLACK_HOLE:
                model.fall_silent(attack.lasts_s)
            case other:
                raise AssertionError(other)
        return f"{count} requests" if count else f"{attack.lasts_s:.1f} s"

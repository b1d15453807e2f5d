"""The embedded server as its users see it: take a share, give it back."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import asyncpg

from fleetprompt.database.embedded import cluster, keeper, launch
from fleetprompt.database.embedded.address import ServerAddress
from fleetprompt.database.embedded.layout import PORT, Layout, prepare_home, socket_file
from fleetprompt.kernel.clock import monotonic_s
from fleetprompt.kernel.errors import Unavailable
from fleetprompt.kernel.processes import lives

START_S: Final = 120.0  # recovery after a crash included
STOP_S: Final = 20.0
GRACE_S: Final = 10.0  # the server outlives its last holder's kill -9 by this much
CRASHES: Final = 2  # a keeper that reports so many failed starts in a row has a lasting problem
STEP_S: Final = 0.01
LOGIN_S: Final = 10.0

T = TypeVar("T")


class EmbeddedPostgres:
    """A share of the server of one data directory.

    The first process to start it starts the server, others join it, the last to stop stops it. A process that dies
    gives up its share by dying; then the keeper stops the server when nobody came back within `grace_s`.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        bin_dir: Path | None = None,
        settings: Mapping[str, str] | None = None,
        grace_s: float = GRACE_S,
    ) -> None:
        self.layout = Layout(data_dir.absolute())
        self._plan = launch.Plan(self.layout, bin_dir, dict(settings or {}), grace_s)
        self._share: int | None = None
        self._turn = asyncio.Lock()

    async def start(self) -> ServerAddress:
        """Returns once a login as our role succeeds. Repeating it is harmless.

        Raises Unavailable, with the server's last words and advice.
        """
        async with self._turn:
            starting, had_a_share = await self._take("start", fcntl.LOCK_EX), self._share is not None
            try:
                if self._share is None:
                    self._share = await self._take("holders", fcntl.LOCK_SH)
                return await self._up()
            except BaseException:
                if not had_a_share:  # whoever had one keeps it: the keeper goes on trying for them
                    self._give_up_share()
                raise
            finally:
                os.close(starting)

    async def stop(self) -> None:
        """Give our share back; the last one stops the server. Takes at most STOP_S."""
        async with self._turn:
            if self._share is not None:
                self._give_up_share()
                await self._stop_if_last()

    async def restart(self) -> ServerAddress:
        """Stop the server under all its holders, and bring it back."""
        await self._signal_server(signal.SIGINT)
        return await self.start()

    async def kill(self) -> None:
        """kill -9 of the server, for tests of recovery; its keeper starts it again."""
        await self._signal_server(signal.SIGKILL)

    def postmaster_pid(self) -> int:
        """The server's process. Trustworthy only while the server answers."""
        return int((self.layout.cluster / "postmaster.pid").read_text().split("\n")[0])

    def keeper_pid(self) -> int | None:
        """The keeper's process, or None when nobody keeps the server."""
        return self._kept().get("pid") if self._is_held("keeper") else None

    async def tend(self, every_s: float = 2.0) -> None:
        """Run this beside a service: should the keeper be killed, the server gets a new one. Ends by cancellation."""
        while True:
            await asyncio.sleep(every_s)
            if self._share is not None and not self._is_held("keeper"):
                # The next turn tries again; who needs the database says so.
                with contextlib.suppress(Unavailable, OSError, asyncpg.PostgresError):
                    await self._rejoin()

    async def _rejoin(self) -> None:
        """As start, but without giving up our share when it fails."""
        async with self._turn:
            starting = await self._take("start", fcntl.LOCK_EX)
            try:
                await self._up()
            finally:
                os.close(starting)

    async def _up(self) -> ServerAddress:
        address = ServerAddress(await self._running_socket_dir(), PORT)
        try:
            await _login(address)
        except (asyncpg.InvalidCatalogNameError, asyncpg.InvalidAuthorizationSpecificationError):
            await cluster.provision(address.socket_dir)
            await _login(address)
        return address

    async def _running_socket_dir(self) -> Path:
        """Wait until the server takes logins, starting it by a keeper of its own if there is none."""
        log_from = launch.size(self.layout.log)
        spawned = False
        deadline = monotonic_s() + START_S
        while monotonic_s() < deadline:
            kept = self._kept() if self._is_held("keeper") else {}
            if kept.get("ready") and await self._answers():
                return self.layout.socket_dir()
            gave_up = spawned and not self._is_held("keeper")
            if gave_up or kept.get("failures", 0) >= CRASHES:
                raise launch.failed(self.layout, "Postgres did not start", log_from)
            if not self._is_held("keeper"):
                await _finished(self._plan.spawn_keeper)
                spawned = True
            await asyncio.sleep(STEP_S)
        raise launch.failed(self.layout, f"Postgres did not answer for {START_S:.0f} s", log_from)

    async def _answers(self) -> bool:
        path = str(socket_file(self.layout.socket_dir()))
        return await asyncio.to_thread(keeper.ask, path) == "ready"

    async def _stop_if_last(self) -> None:
        """Tell the keeper that nobody is left, and wait until it has stopped the server."""
        told = None
        deadline = monotonic_s() + STOP_S
        while monotonic_s() < deadline and not await self._has_holders():
            if not self._is_held("keeper"):
                if not self._is_held("server"):
                    return
                await _finished(self._plan.spawn_adopting_keeper)
            pid = self.keeper_pid()
            if pid is not None and pid != told:
                os.kill(pid, signal.SIGTERM)
                told = pid
            await asyncio.sleep(STEP_S)

    async def _has_holders(self) -> bool:
        """The keeper's own look at the lock takes it for an instant, so one look is not enough."""
        if not self._is_held("holders"):
            return False
        await asyncio.sleep(STEP_S)
        return self._is_held("holders")

    async def _signal_server(self, number: signal.Signals) -> None:
        pid = self.postmaster_pid()
        os.kill(pid, number)
        deadline = monotonic_s() + STOP_S
        while monotonic_s() < deadline:
            if not lives(pid) or not self._is_held("server"):
                return
            await asyncio.sleep(STEP_S)

    def _give_up_share(self) -> None:
        if self._share is not None:
            os.close(self._share)
            self._share = None

    async def _take(self, name: str, kind: int) -> int:
        """Wait for a lock; the descriptor that holds it. Raises Unavailable."""
        launch.translated(lambda: prepare_home(self.layout), self.layout)
        deadline = monotonic_s() + START_S
        while monotonic_s() < deadline:
            lock = launch.translated(lambda: keeper.try_lock(str(self.layout.lock(name)), kind), self.layout)
            if lock is not None:
                return lock
            await asyncio.sleep(STEP_S)
        raise Unavailable(
            f"Another process is still starting or stopping the database in {self.layout.data_dir}.",
            "Wait for it, or end it.",
        )

    def _is_held(self, name: str) -> bool:
        return keeper.is_held(str(self.layout.lock(name)))

    def _kept(self) -> dict[str, Any]:
        """What the keeper last wrote about itself; of use only while keeper.lock is held."""
        text = self.layout.lock("keeper").read_text() if self.layout.lock("keeper").exists() else ""
        return dict(json.loads(text)) if text.strip() else {}


async def _finished(work: Callable[[], T]) -> T:
    """Run blocking work in a thread, and let it finish even when we are cancelled: it holds things half made."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


async def _login(address: ServerAddress) -> None:
    """The only proof of life: a login as our role. Raises Unavailable, and asyncpg's errors for a missing role or database."""
    try:
        connection = await asyncpg.connect(**address.kwargs(), timeout=LOGIN_S)
        await connection.close(timeout=LOGIN_S)
    except asyncpg.TooManyConnectionsError as error:
        raise Unavailable(
            "Postgres has no connection left for us.",
            "End other processes that use this data directory, or wait.",
        ) from error
    except (asyncpg.CannotConnectNowError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        raise Unavailable(
            f"Postgres went away during the login: {type(error).__name__}.", "Start again."
        ) from error

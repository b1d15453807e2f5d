"""One listener process that holds many connections to Mattermost, each of an organization of its own."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from bench.figure import Figure
from fleetprompt import listener
from fleetprompt.composition import open_house
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.sandbox.mattermost import SandboxMattermost
from fleetprompt.sandbox.mattermost.records import Channel
from fleetprompt.tenancy.organizations import create_organization
from tests import killing
from tests.connected import Stage
from tests.house import House, bare_house
from tests.serving import service_settings

CONNECTIONS = 500
EACH_MB = 1.0
LEASES = {"lease_s": 10.0, "heartbeat_s": 1.0}
PATIENCE_S = 300.0


@dataclass(frozen=True, slots=True)
class Crowd:
    """Many organizations, each with a bot in a channel of its own."""

    stage: Stage
    channels: dict[TenantSlug, Channel]

    @property
    def connected(self) -> int:
        """Websockets that are open at the server."""
        of_users = self.stage.server.site.hub.sessions.values()
        return sum(session.socket is not None for sessions in of_users for session in sessions.values())

    async def until_connected(self, count: int) -> float:
        """Wait; returns the seconds it took."""
        began = time.perf_counter()
        async with asyncio.timeout(PATIENCE_S):
            while self.connected < count:
                await asyncio.sleep(0.05)
        return time.perf_counter() - began

    async def hears(self, slug: TenantSlug, text: str) -> None:
        """Somebody writes to a bot; wait until its organization has the message."""
        self.stage.server.post(self.stage.dana, self.channels[slug], text)
        query = "select count(*) from signals where payload->>'text' = $1"
        async with asyncio.timeout(PATIENCE_S):
            while [row[0] for row in await self.stage.base.tenant_rows(slug, query, text)] != [1]:
                await asyncio.sleep(0.05)


async def listen(url: str) -> None:
    """In a process of its own: a listener until killed."""
    settings = service_settings(url, None, **LEASES)
    async with open_house(settings, role="listener", migrate=False) as house:
        await listener.serve(house, asyncio.Event())


@contextlib.asynccontextmanager
async def crowd(count: int) -> AsyncIterator[Crowd]:
    """All installed; nobody listens, and nothing is enabled yet."""
    async with (
        bare_house() as base,
        SandboxMattermost() as server,
        open_house(service_settings(base.url, None), role="cli", migrate=False) as house,
    ):
        dana, team = server.create_user("dana"), server.create_team("everybody")
        bots = [server.create_user(f"bot{number}", is_bot=True) for number in range(count)]
        channels = [server.create_channel(team, f"channel{number}") for number in range(count)]
        services = house.services
        stage = Stage(base, services.packages, services.connectors, server, team, bots[0], dana, channels[0])
        slugs = [TenantSlug(f"crowd_{number}") for number in range(count)]
        for slug, bot, channel in zip(slugs, bots, channels, strict=True):
            await create_organization(base.database, slug)
            for user in (bot, dana):
                server.add_to_channel(user, channel)
            await stage.adopt(slug, bot=bot)
        await base.rows("update public.connections set enabled = false")
        yield Crowd(stage, dict(zip(slugs, channels, strict=True)))


async def measure(count: int = CONNECTIONS) -> Figure:
    """Megabytes of the listener process for each connection that it holds."""
    async with crowd(count) as people:
        with killing.running(listen, people.stage.base.url) as process:
            await _started(people.stage.base)
            before_mb = _resident_mb(process)
            await people.stage.base.rows("update public.connections set enabled = true")
            await people.until_connected(count)
            for slug in list(people.channels)[:: max(1, count // 20)]:
                await people.hears(slug, f"@bot{slug.removeprefix('crowd_')} are you there?")
            each_mb = (_resident_mb(process) - before_mb) / count
    return Figure(
        f"MB for each of {count} connections",
        each_mb,
        None,
        None,
        f"at most {EACH_MB:.0f}",
        each_mb <= EACH_MB,
    )


async def _started(base: House) -> None:
    """It has a connection to the database."""
    query = "select count(*) from pg_stat_activity where application_name = 'fleetprompt-listener'"
    async with asyncio.timeout(PATIENCE_S):
        while not await base.value(query):
            await asyncio.sleep(0.05)
    await asyncio.sleep(1)  # its services are built then


def _resident_mb(process: ForkServerProcess) -> float:
    """Linux: resident memory of a process; 0 elsewhere."""
    path = Path(f"/proc/{process.pid}/status")
    if not path.exists():
        return 0.0
    [line] = [line for line in path.read_text().splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024

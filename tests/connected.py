"""A house whose tenant acme has a bot on a sandbox Mattermost; globex stands by and must see nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fleetprompt.connectors.ingest import Source
from fleetprompt.connectors.register import Connectors, register_connectors
from fleetprompt.connectors.supervisor import Listener
from fleetprompt.credentials import MasterKey, Secret
from fleetprompt.kernel import clock
from fleetprompt.kernel.ids import TenantSlug, new_id
from fleetprompt.model import Connection, Installation, InstallationHealth
from fleetprompt.packages.commands.register import register_commands
from fleetprompt.packages.house import House
from fleetprompt.packages.installers import Installers
from fleetprompt.packages.register import register_packages
from fleetprompt.packages.secrets import Vault
from fleetprompt.runtime.directives import NewDirective, request
from fleetprompt.runtime.jobs.worker import Worker
from fleetprompt.runtime.llm import Endpoint, ModelBoundary
from fleetprompt.runtime.register import register_runtime
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import Actor
from fleetprompt.sandbox.mattermost import SandboxMattermost
from fleetprompt.sandbox.mattermost.records import Channel, SandboxUser, Team
from fleetprompt.settings import Settings
from tests.house import ACME, fresh_house
from tests.house import House as Base

QUICK = Settings(lease_s=2.0, heartbeat_s=0.5, reap_every_s=0.5, poll_every_s=0.2, shutdown_grace_s=0.5)
OPERATOR = Actor("human", "cli:tester", "tester")


@dataclass(slots=True)
class Stage:
    """One sandbox server, one bot, one person, one channel, and the house that the bot belongs to."""

    base: Base
    house: House
    connectors: Connectors
    server: SandboxMattermost
    team: Team
    bot: SandboxUser
    dana: SandboxUser
    support: Channel

    async def adopt(
        self, tenant: TenantSlug = ACME, *, bot: SandboxUser | None = None, **config: Any
    ) -> Installation:
        """An installation as the installer leaves it, without running the installer."""
        bot, installer = bot or self.bot, self.house.installers.find("mattermost")
        settings = {"server_url": self.server.url, "team": self.team.name, **config}
        secrets = {"bot_token": Secret(bot.token)}
        probe = await installer.probe(settings, secrets)
        installation = Installation(
            id=new_id(),
            package="mattermost",
            version="1.0.0",
            name="",
            state="installed",
            config=installer.config.model_validate(settings).model_dump(mode="json"),
            account=probe.account,
            start_at_ms=probe.now_ms,
            generation=1,
        )
        async with self.house.tenancy.session(tenant) as session:
            session.add(installation)
            await session.flush()
            session.add(
                InstallationHealth(installation_id=installation.id, state="connecting", since=clock.now())
            )
            await self.house.vault.store(session, installation.id, secrets)
        async with self.house.tenancy.database.session() as public:
            connection = Connection(
                installation_id=installation.id,
                tenant=tenant,
                connector="mattermost",
                generation=1,
                enabled=True,
            )
            connection.account_key = probe.key
            public.add(connection)
        return installation

    def source(self, installation: Installation, tenant: TenantSlug = ACME) -> Source:
        """For `ingest`."""
        binding = self.connectors.bindings["mattermost"]
        name = installation.account["name"]
        allowed = installation.config["allowed_bots"]
        return Source(
            tenant,
            installation.id,
            installation.generation,
            "mattermost",
            lambda text: binding.request(name, text),
            allowed,
        )

    async def post(
        self,
        installation: Installation,
        text: str,
        *,
        key: str = "",
        thread_id: str = "",
        channel_id: str = "",
    ) -> UUID:
        """Request the directive that posts."""
        new = NewDirective(
            "mattermost.post.create",
            key or f"test:{new_id()}",
            {
                "channel_id": channel_id or self.support.id,
                "channel_kind": "public",
                "thread_id": thread_id,
                "text": text,
            },
            "A test posts.",
            OPERATOR,
            installation_id=installation.id,
        )
        async with self.house.tenancy.session(ACME) as session:
            return (await request(session, self.house.registry, new)).id

    async def directive(self, directive_id: UUID, *states: str, patience_s: float = 15) -> Any:
        """The directive's row, once it is in one of these states."""

        async def settled() -> Any:
            rows = await self.base.tenant_rows(ACME, "select * from directives where id = $1", directive_id)
            return (
                rows[0]
                if rows[0]["state"] in (states or ("succeeded", "failed", "outcome_unknown"))
                else None
            )

        return await until(settled, patience_s)

    def bot_posts(self) -> list[str]:
        """What the bot has posted, in order."""
        return [p.message for p in self.server.posts() if p.user_id == self.bot.id and not p.type]


async def until(holds: Callable[[], Awaitable[Any]], patience_s: float = 15) -> Any:
    """Poll until it gives something true; returns that. Raises TimeoutError."""
    async with asyncio.timeout(patience_s):
        while True:
            if found := await holds():
                return found
            await asyncio.sleep(0.05)


def build_house(base: Base, settings: Settings = QUICK, key: bytes | None = None) -> House:
    """A house with what the runtime registers; packages and connectors are still to be registered."""
    registry = Registry()
    register_runtime(registry, ModelBoundary(Endpoint()), settings)
    vault = Vault(base.database, MasterKey(key or os.urandom(32)))
    return House(base.tenancy, registry, settings, vault, Installers())


@contextlib.asynccontextmanager
async def connected_house(key: bytes | None = None) -> AsyncIterator[Stage]:
    """Two tenants, no installation yet. key: the master key, where another process needs it too."""
    async with fresh_house() as base, SandboxMattermost() as server:
        house = build_house(base, key=key)
        register_packages(house)
        register_commands(house)
        connectors = register_connectors(house)
        team = server.create_team("engineering")
        bot, dana = server.create_user("fleet", is_bot=True), server.create_user("dana")
        support = server.create_channel(team, "support")
        for user in (bot, dana):
            server.add_to_channel(user, support)
        try:
            yield Stage(base, house, connectors, server, team, bot, dana, support)
        finally:
            await connectors.close()


@contextlib.asynccontextmanager
async def working(house: House) -> AsyncIterator[Worker]:
    """A worker in this process."""
    worker, stop = Worker(house.tenancy, house.registry, house.settings), asyncio.Event()
    serving = asyncio.create_task(worker.serve(stop))
    try:
        yield worker
    finally:
        stop.set()
        await serving


@contextlib.asynccontextmanager
async def listening(stage: Stage) -> AsyncIterator[Listener]:
    """A listener in this process."""
    listener, stop = Listener(stage.house, stage.connectors.bindings), asyncio.Event()
    serving = asyncio.create_task(listener.serve(stop))
    try:
        yield listener
    finally:
        stop.set()
        await serving

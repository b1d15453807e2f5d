"""The house put together: database, key, catalogue, models, connectors; opened in order, closed in reverse.

Every process of FleetPrompt is a composition root over this: `worker`, `listener`, the web process and each command.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fleetprompt.credentials import MasterKey
from fleetprompt.database.embedded import EmbeddedPostgres, default_data_dir
from fleetprompt.database.engine import Database
from fleetprompt.database.migrate import NewerDatabase, migrate_public
from fleetprompt.kernel import faults
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.packages.publishing import publish_first_party
from fleetprompt.settings import Settings
from fleetprompt.telemetry import configure_logging, configure_tracing, get_logger, shutdown_tracing
from fleetprompt.tenancy import Tenancy
from fleetprompt.tenancy.migrations import migrate_tenants

if TYPE_CHECKING:
    from fleetprompt.connectors.register import Connectors
    from fleetprompt.packages.house import House as Packages
    from fleetprompt.runtime.llm import ModelBoundary
    from fleetprompt.runtime.registry import Registry

FAULT: Final = "FLEETPROMPT_FAULT"
COMMAND: Final = "cli"
"""The role of a short command: it builds only what it uses, and its log speaks of trouble alone."""
POOL_SIZE: Final = {COMMAND: 4, "web": 10}
UPGRADE: Final = "an upgrade is under way: restart this process with the new program"
SPARE_CONNECTIONS: Final = 8
"""Beside one a job: heartbeat, reaper, clock, listener, health."""


@dataclass(frozen=True, slots=True)
class Services:
    """What runs the house: names, models, packages and connectors. Building it takes most of a start."""

    registry: Registry
    models: ModelBoundary
    packages: Packages
    connectors: Connectors

    async def close(self) -> None:
        """Close what the far sides see of us."""
        await self.connectors.close()
        await self.models.close()


@dataclass(slots=True)
class House:
    """An open house. `services` is built at first use: a command that lists organizations needs none of it."""

    settings: Settings
    database: Database
    tenancy: Tenancy
    postgres: EmbeddedPostgres | None
    """Our share of the embedded server; None with a server of one's own."""
    _master_key: MasterKey | None = field(default=None)
    _services: Services | None = field(default=None)

    @property
    def master_key(self) -> MasterKey:
        """Raises InvalidInput when a server of one's own comes without a key, or the key is none."""
        if self._master_key is None:
            self._master_key = load_master_key(self.settings)
        return self._master_key

    @property
    def services(self) -> Services:
        """Raises InvalidInput for settings that cannot be (a model without its key, a wrong master key)."""
        if self._services is None:
            self._services = _build_services(self)
        return self._services

    @property
    def registry(self) -> Registry:
        """Everything that has a name."""
        return self.services.registry

    async def close(self) -> None:
        """Far sides, then the pool. The server's share is given back by whoever took it."""
        if self._services is not None:
            await self._services.close()
        await self.database.close()


@asynccontextmanager
async def open_house(settings: Settings, *, role: str, migrate: bool = True) -> AsyncIterator[House]:
    """Open the house for one process, and close everything at the end, in order.

    role: web, worker, listener, up, or `cli`. migrate: bring the registry, and the tenants that are behind, to the head;
    a tenant that fails is left as it is, with its error recorded. Several processes may do this at once. What a newer
    program migrated is served and left as it is; only a command refuses (NewerDatabase), since it may wait.
    Raises Unavailable when Postgres is away, InvalidInput for settings that cannot be.
    """
    _set_up_telemetry(settings, role)
    async with AsyncExitStack() as stack:
        stack.callback(shutdown_tracing)
        postgres = embedded_postgres(settings)
        url = await _database_url(settings, postgres, role, stack)
        database = Database(
            url,
            pool_size=POOL_SIZE.get(role, settings.worker_slots + SPARE_CONNECTIONS),
            application_name=f"fleetprompt-{role}",
        )
        house = House(settings, database, Tenancy(database), postgres)
        stack.push_async_callback(house.close)
        await database.require_supported_version()
        if FAULT in os.environ:  # a test may have armed this process otherwise
            faults.arm_from_environment()
        if migrate:
            await _catch_up(house, role)
        if role != COMMAND:
            house.services  # noqa: B018 (built now, so that a wrong setting ends the start and not a job)
            _spare_the_collector()
        yield house


def _spare_the_collector() -> None:
    """What stands now stands to the end, so it is looked through no more: a fifth of the CPU of storing messages."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


def embedded_postgres(settings: Settings) -> EmbeddedPostgres | None:
    """Our share of the embedded server, not started; None when the settings name a server of one's own."""
    if settings.database_url is not None:
        return None
    return EmbeddedPostgres(data_dir(settings), bin_dir=settings.postgres_bin_dir)


def data_dir(settings: Settings) -> Path:
    """Where the embedded database and the master key lie."""
    return settings.data_dir or default_data_dir()


def load_master_key(settings: Settings) -> MasterKey:
    """The key of the settings; beside an embedded database, the one generated there."""
    given = settings.master_key.get_secret_value() if settings.master_key is not None else None
    return MasterKey.load(given, data_dir(settings) if settings.database_url is None else None)


async def _catch_up(house: House, role: str) -> None:
    """Who serves does so on a newer database, too: in a rolling deploy an old process may start once more."""
    try:
        await migrate_all(house)
    except NewerDatabase:
        if role == COMMAND:
            raise
        get_logger(__name__).warning("database is newer than this program", remedy=UPGRADE)


async def migrate_all(house: House) -> None:
    """Registry first, with the packages that this program brings, then the tenants that are behind."""
    await migrate_public(house.database)
    log = get_logger(__name__)
    for failure in await publish_first_party(house.database):
        log.warning("package not published", error=failure, remedy="fleetprompt migrate")
    outcomes = await migrate_tenants(house.database)
    for outcome in outcomes:
        if outcome.error is None:
            await _complete_grants(house, outcome.slug)
        elif not outcome.is_newer:
            log.warning(
                "tenant not migrated", org=outcome.slug, error=outcome.error, remedy="fleetprompt migrate"
            )
    if newer := sum(outcome.is_newer for outcome in outcomes):
        log.warning("organizations are newer than this program", count=newer, remedy=UPGRADE)


async def _complete_grants(house: House, tenant: TenantSlug) -> None:
    """Imported here: seldom anything was migrated."""
    from fleetprompt.packages.grants import complete

    await complete(house.tenancy, tenant)


async def _database_url(
    settings: Settings, postgres: EmbeddedPostgres | None, role: str, stack: AsyncExitStack
) -> str:
    if postgres is None:
        assert settings.database_url is not None
        return settings.database_url.get_secret_value()
    stack.push_async_callback(postgres.stop)
    url = (await postgres.start()).url()
    if role != COMMAND:
        stack.push_async_callback(_end, asyncio.create_task(postgres.tend(), name="tend-postgres"))
    return url


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _set_up_telemetry(settings: Settings, role: str) -> None:
    configure_logging("WARNING" if role == COMMAND else settings.log_level, settings.log_format)
    configure_tracing("fleetprompt" if role == COMMAND else f"fleetprompt-{role}")


def _build_services(house: House) -> Services:
    """Imported here: these are the heavy rooms."""
    from fleetprompt.connectors.register import register_connectors
    from fleetprompt.packages.commands.register import register_commands
    from fleetprompt.packages.house import House as Packages
    from fleetprompt.packages.installers import Installers
    from fleetprompt.packages.register import register_packages
    from fleetprompt.packages.secrets import Vault
    from fleetprompt.runtime.register import register_runtime
    from fleetprompt.runtime.registry import Registry

    registry, models = Registry(), model_boundary(house.settings)
    register_runtime(registry, models, house.settings)
    vault = Vault(house.database, house.master_key)
    packages = Packages(house.tenancy, registry, house.settings, vault, Installers())
    register_packages(packages)
    register_commands(packages)
    return Services(registry, models, packages, register_connectors(packages))


def model_boundary(settings: Settings) -> ModelBoundary:
    """The model of the settings and its fallback. Raises InvalidInput for a model that cannot be used so."""
    from fleetprompt.runtime.llm import Endpoint, ModelBoundary

    primary = Endpoint(settings.model, settings.model_base_url, settings.model_api_key)
    if settings.fallback_model is None:
        return ModelBoundary(primary)
    fallback = Endpoint(settings.fallback_model, settings.fallback_base_url, settings.fallback_api_key)
    return ModelBoundary(primary, fallback)

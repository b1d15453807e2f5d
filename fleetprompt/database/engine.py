"""One engine a process, and the raw connections that LISTEN and multi-statement scripts need."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
from sqlalchemy import event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from fleetprompt.database.driver import Driver
from fleetprompt.kernel.errors import InvalidInput, Unavailable

OLDEST_VERSION = 160000  # role grants `with inherit false, set true` came with Postgres 16
CONNECT_TIMEOUT_S = 5.0
KEEPALIVE = {"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3"}
"""Seconds after which the server lets go of a peer that is gone without a word; two hours otherwise."""

AWAY = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.InterfaceError,
    PoolTimeout,
)
"""What is raised while the server is not there; see `is_away`."""


def parse_url(url: str) -> URL:
    """Accept the spellings people use; raises InvalidInput without ever quoting the URL, which holds a password."""
    try:
        parsed = make_url(url)
    except Exception as error:
        raise InvalidInput(
            "FLEETPROMPT_DATABASE_URL is not a URL.", "Write postgresql://user:password@host:5432/name."
        ) from error
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise InvalidInput("FLEETPROMPT_DATABASE_URL must name Postgres.", "Write postgresql://...")
    return parsed.set(drivername="postgresql+asyncpg")


def is_away(error: BaseException) -> bool:
    """Whether an error means that Postgres is away for now, rather than that a statement was wrong."""
    if isinstance(error, AWAY):
        return not isinstance(error, ValueError)  # the driver's word for a value that does not fit its type
    if isinstance(error, DBAPIError):
        cause = error.orig.__cause__ if error.orig is not None else None
        return error.connection_invalidated or (cause is not None and is_away(cause))
    return isinstance(
        error, asyncpg.AdminShutdownError | asyncpg.CrashShutdownError | asyncpg.TooManyConnectionsError
    )


def is_full(error: BaseException) -> bool:
    """Whether Postgres is there and has no connection left: to ask often makes it worse."""
    if isinstance(error, DBAPIError):
        return error.orig is not None and is_full(error.orig)
    return isinstance(error.__cause__ or error, asyncpg.TooManyConnectionsError)


SERVED: Final = "tenants"
"""Where a pooled connection notes the tenants that it has served."""
MOST_SERVED: Final = 50
"""A backend keeps what it read of each table for as long as it lives: half a megabyte a tenant, measured; with a
thousand tenants 28 connections would hold 14 GB. So a connection that has served this many is replaced."""


def _require_fit(connection: Any, record: ConnectionPoolEntry, *_: Any) -> None:
    """A pooled connection that the server has cut is replaced, since the driver knows; so is one that has grown."""
    if connection.driver_connection.is_closed() or len(record.info.get(SERVED, ())) > MOST_SERVED:
        raise DisconnectionError


class Database:
    """The server that holds everything. Built once in a composition root."""

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 20,
        application_name: str = "fleetprompt",
        idle_in_transaction_s: float = 30.0,
    ) -> None:
        self.url = parse_url(url)
        self.engine: AsyncEngine = create_async_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=10,
            pool_timeout=10,
            hide_parameters=True,  # an error's text must not quote a message
            connect_args={
                "timeout": CONNECT_TIMEOUT_S,
                "server_settings": {
                    "application_name": application_name,
                    "jit": "off",
                    # Nothing waits for the outside in a transaction. One that does was frozen or cut off with its
                    # locks, and they would keep its job from every reaper.
                    "idle_in_transaction_session_timeout": str(int(idle_in_transaction_s * 1000)),
                    **KEEPALIVE,
                },
            },
        )
        event.listen(self.engine.sync_engine, "checkout", _require_fit)

    async def close(self) -> None:
        """Give every connection back."""
        await self.engine.dispose()

    async def connect_raw(self) -> asyncpg.Connection[Any]:
        """A connection outside the pool, for LISTEN and for multi-statement scripts. The caller closes it."""
        arguments = self.url.translate_connect_args(username="user")
        return await asyncpg.connect(**{**arguments, **self._query()}, timeout=CONNECT_TIMEOUT_S)

    @asynccontextmanager
    async def scripting(self, tenant: str) -> AsyncIterator[asyncpg.Connection[Any]]:
        """A pooled connection for multi-statement scripts about a tenant, in transactions of the caller's own.

        Its session knows the catalogue already, which a new one has to read first. Nothing may be set in it that
        outlives a transaction.
        """
        async with self.engine.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            assert driver is not None
            assert connection.sync_connection is not None
            connection.sync_connection.info.setdefault(SERVED, set()).add(tenant)
            yield driver

    def _query(self) -> dict[str, Any]:
        query: dict[str, Any] = dict(self.url.query)
        return {**query, "port": int(query["port"])} if "port" in query else query

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """One transaction on the registry (schema public), as the service's own role."""
        async with AsyncSession(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection]:
        """One transaction without the unit of work, for hot statements."""
        async with self.engine.begin() as connection:
            yield connection

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Driver]:
        """A pooled connection for hot statements; one that is left in a transaction comes back to nobody."""
        driver = Driver(await self.engine.connect())
        try:
            yield driver
        finally:
            await driver.release()

    @asynccontextmanager
    async def at_once(self) -> AsyncIterator[AsyncConnection]:
        """Each statement is a transaction of its own, in one round trip instead of three.

        So a process that is frozen in the middle keeps no locks: the server ends the statement without it.
        """
        async with self.engine.connect() as connection:
            yield await connection.execution_options(isolation_level="AUTOCOMMIT")

    async def require_supported_version(self) -> int:
        """The server's version number. Raises InvalidInput for one that is too old, Unavailable if it is away."""
        try:
            async with self.connection() as connection:
                number = int((await connection.execute(text("show server_version_num"))).scalar_one())
        except Exception as error:
            if is_away(error):
                raise Unavailable(
                    "Postgres does not answer.", "Start it, or mend the database URL."
                ) from error
            raise
        if number < OLDEST_VERSION:
            raise InvalidInput(
                f"This Postgres server is version {number // 10000}; FleetPrompt needs 16 or newer.",
                "Upgrade the server, or unset FLEETPROMPT_DATABASE_URL to use the embedded one.",
            )
        return number

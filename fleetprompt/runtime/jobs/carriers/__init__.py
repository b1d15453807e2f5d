"""Which broker carries the jobs: one of taskiq's libraries, set up so that nothing in it is worth keeping.

Postgres holds every job; a broker holds messages of a few bytes that may be lost, doubled or late. So queues live in
memory where they can, are bounded, and nothing here reconnects: a connection that fails is thrown away and another
is built (`link.Link`), which covers what each library's own reconnecting leaves out.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from sqlalchemy import text
from taskiq import AsyncBroker

from fleetprompt.database.engine import Database
from fleetprompt.kernel.errors import Unavailable

CONNECT_S: Final = 2.0
START_S: Final = 5.0
CLOSE_S: Final = 1.0
KEPT_MESSAGES: Final = 100_000
KEPT_S: Final = 3600

_IDENTITY: Final = text(
    "select (select system_identifier from pg_control_system())::text || '_' || oid from pg_database"
    " where datname = current_database()"
)


@dataclass(frozen=True, slots=True)
class Carrier:
    """A library's broker, not started, and what we must know of it.

    check: raises when messages would no longer come through, though nobody said so.
    reads_ahead: messages are pushed to us before we ask for them.
    """

    broker: AsyncBroker
    check: Callable[[], Awaitable[None]]
    reads_ahead: bool = False


def make_carrier(url: str, queue: str, slots: int) -> Carrier:
    """For a URL that the settings have accepted. Libraries are imported when they are used."""
    scheme = urlsplit(url).scheme
    if scheme in ("nats", "tls"):
        from fleetprompt.runtime.jobs.carriers.jetstream import jetstream

        return jetstream(url, queue)
    if scheme in ("redis", "rediss"):
        from fleetprompt.runtime.jobs.carriers.streams import streams

        return streams(url, queue, slots)
    from fleetprompt.runtime.jobs.carriers.rabbit import rabbit

    return rabbit(url, queue, slots)


def carrier_name(url: str) -> str:
    """What people call it; says nothing of where it is or who we are there."""
    names = {"nats": "NATS", "tls": "NATS", "amqp": "RabbitMQ", "amqps": "RabbitMQ"}
    return names.get(urlsplit(url).scheme, "Redis")


async def queue_name(database: Database) -> str:
    """A name of this database alone, so that several services can share one broker; a copy has another."""
    async with database.connection() as connection:
        return f"fleetprompt_{(await connection.execute(_IDENTITY)).scalar_one()}"


async def require_reachable(url: str, queue: str) -> None:
    """Connect once, make the queue if it is not there, and look at it. Raises Unavailable."""
    carrier = make_carrier(url, queue, 1)
    try:
        async with asyncio.timeout(START_S):
            await carrier.broker.startup()
            await carrier.check()
    except Exception as error:
        raise Unavailable(
            f"{carrier_name(url)} cannot be used: {type(error).__name__}. Workers take jobs from Postgres meanwhile.",
            "Start it, or mend FLEETPROMPT_BROKER_URL.",
        ) from error
    finally:
        await close(carrier.broker)


async def close(broker: AsyncBroker) -> None:
    """What does not close in time is left: its connection is broken, or the process is about to end."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(CLOSE_S):
            await broker.shutdown()

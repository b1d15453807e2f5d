"""What is served over HTTP: health, readiness, metrics; later the door for webhooks and people."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from litestar import Litestar
from sqlalchemy import text

from fleetprompt.composition import House
from fleetprompt.database import scripts
from fleetprompt.database.engine import is_away
from fleetprompt.kernel.errors import Unavailable
from fleetprompt.surfaces import gauges
from fleetprompt.surfaces.web import create_app
from fleetprompt.surfaces.web import serve as serve_app

_REVISION = text("select version_num from public.alembic_version")


async def serve(
    house: House, stop: asyncio.Event, listening: Callable[[str, int], None] | None = None
) -> None:
    """Answer HTTP until `stop` is set. listening: told the host and port once connections are accepted."""

    await serve_app(_health(house), house.settings.host, house.settings.port, stop, listening)


async def serve_beside(
    house: House, stop: asyncio.Event, listening: Callable[[str, int], None] | None = None
) -> None:
    """The same for a worker or a listener as a process of its own, on FLEETPROMPT_METRICS_PORT, which is set."""
    assert house.settings.metrics_port is not None
    await serve_app(_health(house), house.settings.host, house.settings.metrics_port, stop, listening)


def _health(house: House) -> Litestar:
    async def is_ready() -> str | None:
        return await readiness(house)

    async def measure() -> None:
        await gauges.measure(house.database)

    return create_app(is_ready, measure=measure)


async def readiness(house: House) -> str | None:
    """Why we cannot work now; None if we can."""
    try:
        async with house.database.connection() as connection:
            revision = (await connection.execute(_REVISION)).scalar_one_or_none()
    except Exception as error:
        if is_away(error):
            raise Unavailable("Postgres does not answer.", "Start it; we reconnect by ourselves.") from error
        raise
    if revision != scripts.head("public"):
        return "The database is at another version than this program: fleetprompt migrate."
    return None

"""The web process: health, readiness, metrics; later the door for webhooks and people."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

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

    async def is_ready() -> str | None:
        return await readiness(house)

    async def measure() -> None:
        await gauges.measure(house.database)

    settings = house.settings
    app = create_app(is_ready, measure=measure)
    await serve_app(app, settings.host, settings.port, stop, listening)


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

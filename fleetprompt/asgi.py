"""What is served over HTTP: health, readiness, metrics, and the doors for chat servers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from asyncpg import UndefinedTableError
from litestar import Litestar
from litestar.types import ControllerRouterHandler
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from fleetprompt.accounts.passwords import Passwords
from fleetprompt.composition import UPGRADE, House
from fleetprompt.database import scripts
from fleetprompt.database.engine import is_away
from fleetprompt.kernel.errors import Unavailable
from fleetprompt.surfaces import gauges
from fleetprompt.surfaces.api import api_routes
from fleetprompt.surfaces.health import Ready, Verdict
from fleetprompt.surfaces.pages import Front
from fleetprompt.surfaces.pages.routes import page_routes
from fleetprompt.surfaces.web import create_app
from fleetprompt.surfaces.web import serve as serve_app
from webhooks.mattermost import mattermost_routes

BEHIND: Final = "The database is behind this program: fleetprompt migrate."
NEWER: Final = f"The database is newer than this program: {UPGRADE}."
NO_TABLE: Final = UndefinedTableError.sqlstate
_REVISION = text("select version_num from public.alembic_version")


async def serve(
    house: House, stop: asyncio.Event, listening: Callable[[str, int], None] | None = None
) -> None:
    """Answer HTTP until `stop` is set. listening: told the host and port once connections are accepted."""
    routes = [*mattermost_routes(house.services.packages), *people_routes(house)]
    app = application(house, routes)
    await serve_app(app, house.settings.host, house.settings.port, stop, listening)


async def serve_beside(
    house: House, stop: asyncio.Event, listening: Callable[[str, int], None] | None = None
) -> None:
    """The same for a worker or a listener as a process of its own, on FLEETPROMPT_METRICS_PORT, which is set."""
    assert house.settings.metrics_port is not None
    await serve_app(application(house), house.settings.host, house.settings.metrics_port, stop, listening)


def application(house: House, routes: Sequence[ControllerRouterHandler] = ()) -> Litestar:
    """Health, readiness and metrics, and what else is given."""

    async def is_ready() -> Verdict:
        return await readiness(house)

    async def measure() -> None:
        await gauges.measure(house.database)

    return create_app(is_ready, routes, measure=measure)


def people_routes(house: House) -> list[ControllerRouterHandler]:
    """Pages for people, and what their programs ask."""
    front = Front(house.services.packages, Passwords(), house.settings.public_address)
    return [page_routes(front), api_routes(front)]


async def readiness(house: House) -> Verdict:
    """Whether we can work now: not on a database that is behind us, but on one that is ahead."""
    try:
        async with house.database.connection() as connection:
            revision = (await connection.execute(_REVISION)).scalar_one_or_none()
    except Exception as error:
        if isinstance(error, ProgrammingError) and getattr(error.orig, "sqlstate", None) == NO_TABLE:
            return BEHIND
        if is_away(error):
            raise Unavailable("Postgres does not answer.", "Start it; we reconnect by ourselves.") from error
        raise
    if revision == scripts.head("public"):
        return None
    return Ready(NEWER) if scripts.is_newer("public", revision) else BEHIND

"""The worker process: runs jobs, brings back those of the dead, fires recurring ones."""

from __future__ import annotations

import asyncio

from fleetprompt.composition import House
from fleetprompt.runtime.jobs.worker import Worker


async def serve(house: House, stop: asyncio.Event) -> None:
    """Work until `stop` is set, then hand back what is not done. Several workers share the work."""
    await Worker(house.tenancy, house.registry, house.settings).serve(stop)

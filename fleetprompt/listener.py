"""The listener process: it holds the installations' connections and stores what comes in."""

from __future__ import annotations

import asyncio

from fleetprompt.composition import House
from fleetprompt.connectors.supervisor import Listener


async def serve(house: House, stop: asyncio.Event) -> None:
    """Listen until `stop` is set. Several listeners share the installations; each has one holder at a time."""
    services = house.services
    await Listener(services.packages, services.connectors.bindings).serve(stop)

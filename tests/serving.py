"""The whole service in a process of its own, forked in milliseconds, armed to die at a fault point."""

from __future__ import annotations

import asyncio

from pydantic import SecretStr

from fleetprompt import listener, worker
from fleetprompt.composition import open_house
from fleetprompt.settings import Settings

MASTER_KEY = "c2FuZGJveHNlY3JldC1vZi10aGUtdGVzdHMtYWxvbmU="  # of tests alone


def service_settings(url: str, order_desk_url: str | None, **more: object) -> Settings:
    """Settings with short leases, so that a test of recovery is short too."""
    return Settings.model_validate(
        {
            "database_url": SecretStr(url),
            "master_key": SecretStr(MASTER_KEY),
            "order_desk_url": order_desk_url,
            "lease_s": 1.0,
            "heartbeat_s": 0.3,
            "reap_every_s": 0.3,
            "poll_every_s": 0.3,
            "shutdown_grace_s": 0.5,
            "log_level": "CRITICAL",
            **more,
        }
    )


async def serve(url: str, order_desk_url: str | None) -> None:
    """Worker and listener until killed."""
    async with open_house(service_settings(url, order_desk_url), role="up", migrate=False) as house:
        never = asyncio.Event()
        await asyncio.gather(worker.serve(house, never), listener.serve(house, never))

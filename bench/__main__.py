"""`make bench`: measures, prints a table, writes bench/results.json. With words: only the figures of these files."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from bench import connections, fairness, growth, idle, ingest, jobs, mail, mentions, tenants
from bench.figure import Figure, report
from bench.server import durable_server
from tests.connected import connected_house
from tests.house import bare_house, fresh_house
from tests.mailed import post_office
from tests.town import town


async def _ingest() -> list[Figure]:
    async with connected_house() as stage:
        return await ingest.measure(stage)


async def _jobs() -> list[Figure]:
    async with fresh_house() as house:
        return await jobs.measure(house)


async def _mentions() -> list[Figure]:
    async with town(install_it=False) as play:
        return await mentions.measure(play)


async def _mail() -> list[Figure]:
    async with post_office() as post:
        return await mail.measure(post)


async def _tenants() -> list[Figure]:
    async with bare_house() as house:
        return await tenants.measure(house)


async def _growth() -> list[Figure]:
    async with fresh_house() as house:
        return await growth.measure(house)


async def _fairness() -> list[Figure]:
    async with fresh_house() as house:
        return await fairness.measure(house)


async def _connections() -> list[Figure]:
    return [await connections.measure()]


MEASURES: Final[dict[str, Callable[[], Awaitable[list[Figure]]]]] = {
    "ingest": _ingest,
    "jobs": _jobs,
    "mail": _mail,
    "mentions": _mentions,
    "idle": idle.measure,
    "tenants": _tenants,
    "growth": _growth,
    "fairness": _fairness,
    "connections": _connections,
}


async def measure(names: list[str]) -> list[Figure]:
    """Each on a house of its own."""
    figures = []
    async with durable_server():
        for name in names or MEASURES:
            _be_quiet()
            figures += await MEASURES[name]()
    return figures


def _be_quiet() -> None:
    """Before each: a house that was opened has its own mind about logs."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.ERROR)


if __name__ == "__main__":
    chosen = sys.argv[1:]
    report(asyncio.run(measure(chosen)), is_whole=not chosen)

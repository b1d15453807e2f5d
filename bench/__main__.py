"""`make bench`: measures, prints a table, writes bench/results.json."""

from __future__ import annotations

import asyncio
import logging

import structlog

from bench import ingest, jobs, mentions
from bench.figure import Figure, report
from bench.server import durable_server
from tests.connected import connected_house
from tests.house import fresh_house
from tests.town import town


async def measure_all() -> list[Figure]:
    """Each on a house of its own."""
    figures = []
    async with durable_server():
        async with connected_house() as stage:
            figures += await ingest.measure(stage)
        async with fresh_house() as house:
            figures.append(await jobs.measure(house))
        async with town() as play:
            figures.append(await mentions.measure(play))
    return figures


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    report(asyncio.run(measure_all()))

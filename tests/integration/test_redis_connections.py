"""A closed carrier holds no connection, whoever still wants to speak through it and whatever its server does."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.exceptions import RedisError
from taskiq import AckableMessage, BrokerMessage
from taskiq.utils import maybe_awaitable

from fleetprompt.runtime.jobs.carriers import close
from fleetprompt.runtime.jobs.carriers.streams import Streams, streams
from tests.carrying import broker_of, pid_of
from tests.chaos.brokers import Server


@pytest.fixture
async def valkey(tmp_path: Path) -> AsyncIterator[Server]:
    async with broker_of("redis", tmp_path / "broker") as server:
        yield server


async def started(server: Server) -> Streams:
    broker = streams(server.url, "queue", 4).broker
    assert isinstance(broker, Streams)
    await broker.startup()
    return broker


def message(number: int) -> BrokerMessage:
    return BrokerMessage(task_id=str(number), task_name="t", message=b"{}", labels={})


async def received(broker: Streams) -> AckableMessage:
    await broker.kick(message(1))
    async with contextlib.aclosing(broker.listen()) as messages:
        found = await anext(messages)
    assert isinstance(found, AckableMessage)
    return found


def connected(broker: Streams) -> int:
    """Connections that stand, counted at the library: its pool may have forgotten some."""
    return sum(
        1
        for one in gc.get_objects()
        if type(one).__name__ == "Connection"
        and type(one).__module__ == "redis.asyncio.connection"
        and one.port == broker.pool.connection_kwargs["port"]
        and one.is_connected
    )


async def test_an_ack_that_comes_after_the_end_opens_nothing(valkey: Server) -> None:
    broker = await started(valkey)
    late = await received(broker)
    assert connected(broker) > 0
    await close(broker)
    with pytest.raises(RedisError):
        await maybe_awaitable(late.ack())
    assert connected(broker) == 0


async def test_a_frozen_servers_connections_are_closed(valkey: Server) -> None:
    broker = await started(valkey)
    os.kill(pid_of(valkey), signal.SIGSTOP)
    try:
        await close(broker)
        assert connected(broker) == 0
    finally:
        os.kill(pid_of(valkey), signal.SIGCONT)


async def test_what_was_being_sent_fails_and_opens_nothing(valkey: Server) -> None:
    broker = await started(valkey)
    os.kill(pid_of(valkey), signal.SIGSTOP)
    sending = [asyncio.create_task(broker.kick(message(n))) for n in range(40)]  # more than the pool holds
    await asyncio.sleep(0.2)
    await close(broker)
    os.kill(pid_of(valkey), signal.SIGCONT)
    outcomes = await asyncio.gather(*sending, return_exceptions=True)
    assert any(isinstance(one, RedisError) for one in outcomes)
    assert connected(broker) == 0

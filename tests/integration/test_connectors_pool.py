"""Adapters that send: opened when needed, never closed under a call, not kept for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from adapters.contract import Adapter, Outbound, Place, Receipt
from adapters.errors import OutcomeUnknown, Unreachable
from fleetprompt.connectors.pool import AdapterPool
from fleetprompt.kernel.ids import new_id
from fleetprompt.model import Installation
from tests.connected import Stage, connected_house, until
from tests.house import ACME


class Watched:
    """A pool, and every adapter that it built."""

    def __init__(self, stage: Stage, idle_s: float) -> None:
        self.built: list[Adapter] = []
        self._lent = asyncio.Event()
        binding = stage.connectors.bindings["mattermost"]
        watched = replace(binding, build=lambda *given: self._keep(binding.build(*given)))
        self.pool = AdapterPool(stage.house.tenancy, stage.house.vault, {"mattermost": watched}, idle_s)
        self._channel = Place(stage.support.id, "public")

    def _keep(self, adapter: Adapter) -> Adapter:
        self.built.append(adapter)
        return adapter

    async def send(self, installation: Installation, text: str) -> Receipt:
        async with self.pool.lend(ACME, installation) as adapter:
            self._lent.set()
            return await adapter.send(Outbound(new_id().hex, self._channel, text))

    async def sending(self, stage: Stage, installation: Installation) -> asyncio.Task[Receipt]:
        """A send that is under way for most of a second."""
        stage.server.delay_posts(1, 0.7)
        task = asyncio.create_task(self.send(installation, "slow"))
        await self._lent.wait()
        await asyncio.sleep(0.1)
        return task

    async def open_ones(self) -> list[int]:
        return [number for number, adapter in enumerate(self.built) if await self._is_open(adapter)]

    async def _is_open(self, adapter: Adapter) -> bool:
        try:
            await adapter.send(Outbound(new_id().hex, self._channel, "probe"))
        except (Unreachable, OutcomeUnknown):  # closed before, or under way
            return False
        return True


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with connected_house() as opened:
        yield opened


@pytest.fixture
async def installation(stage: Stage) -> Installation:
    return await stage.adopt()


@pytest.fixture
async def watched(stage: Stage) -> AsyncIterator[Watched]:
    opened = Watched(stage, idle_s=60)
    yield opened
    await opened.pool.close()


async def test_one_adapter_serves_all_calls(watched: Watched, installation: Installation) -> None:
    await asyncio.gather(*(watched.send(installation, f"n{number}") for number in range(5)))
    assert len(watched.built) == 1


async def test_a_discarded_adapter_ends_the_send_that_is_under_way_and_then_closes(
    stage: Stage, watched: Watched, installation: Installation
) -> None:
    slow = await watched.sending(stage, installation)
    await watched.pool.discard(installation.id)
    await watched.send(installation, "quick")
    assert not slow.done()
    assert (await slow).external_id
    assert await watched.open_ones() == [1]


async def test_new_settings_do_not_cut_off_what_goes_out_with_the_old_ones(
    stage: Stage, watched: Watched, installation: Installation
) -> None:
    slow = await watched.sending(stage, installation)
    newer = Installation(**{name: getattr(installation, name) for name in COPIED}, generation=2)
    await watched.send(newer, "with the new ones")
    assert (await slow).external_id
    await watched.send(installation, "somebody who read the row before")
    assert len(watched.built) == 2
    assert await watched.open_ones() == [1]


COPIED = ("id", "package", "config", "account", "start_at_ms")


async def test_an_adapter_that_nobody_uses_any_more_is_closed_and_opened_again_when_needed(
    stage: Stage, installation: Installation
) -> None:
    watched = Watched(stage, idle_s=0.3)
    try:
        await watched.send(installation, "hello")
        assert await watched.open_ones() == [0]

        async def is_closed() -> bool:
            return await watched.open_ones() == []

        await until(is_closed, 5)
        await watched.send(installation, "hello again")
        assert len(watched.built) == 2
    finally:
        await watched.pool.close()


async def test_a_long_call_is_not_idle(stage: Stage, installation: Installation) -> None:
    watched = Watched(stage, idle_s=0.1)
    try:
        assert (await (await watched.sending(stage, installation))).external_id
    finally:
        await watched.pool.close()


async def test_a_closed_pool_lends_nothing(watched: Watched, installation: Installation) -> None:
    await watched.send(installation, "hello")
    await watched.pool.close()
    assert await watched.open_ones() == []
    with pytest.raises(Unreachable):
        await watched.send(installation, "too late")

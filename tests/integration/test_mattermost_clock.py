"""Whose clock counts: the server's, as far as a `Date` header of whole seconds can tell it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from adapters.mattermost import MattermostAdapter, MattermostSettings
from adapters.mattermost.adapter import wall_clock_ms
from tests.mattermost_sandbox import scene


def shifted(by_ms: int) -> Callable[[], int]:
    """A clock of ours that goes wrong by so much."""
    return lambda: wall_clock_ms() + by_ms


@pytest.mark.parametrize(
    ("by_ms", "may_lag_ms"), [(0, 400), (90_000, 1060), (-90_000, 1060)], ids=["right", "fast", "slow"]
)
async def test_the_moment_of_an_installation_is_the_servers(by_ms: int, may_lag_ms: int) -> None:
    async with scene() as play:
        before_ms = wall_clock_ms()
        adapter = MattermostAdapter(
            MattermostSettings(play.server.url, play.fleet.token), clock_ms=shifted(by_ms)
        )
        connected = await adapter.open()
        await adapter.close()
        after_ms = wall_clock_ms()
    assert before_ms - may_lag_ms <= connected.server_now_ms <= after_ms + 60

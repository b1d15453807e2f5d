"""Saying something to one account alone: over each adapter that can."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from adapters.contract import Outbound, ReachesOne
from adapters.errors import FarSideFailed, PlaceGone, Refused
from tests.adapter_stages import MattermostStage, Stage, open_stage


@pytest.fixture(params=["memory", "mattermost"])
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    async with open_stage(request.param) as opened:
        yield opened


async def test_one_account_alone_is_told_in_the_same_place_each_time(stage: Stage) -> None:
    adapter = stage.adapter()
    assert isinstance(adapter, ReachesOne)
    try:
        place = await adapter.direct(stage.person_id())
        assert place.channel_kind == "direct"
        assert await adapter.direct(stage.person_id()) == place
        message = Outbound("directive-1", place, "For you alone.", first_tried_at_ms=1)
        assert (await adapter.send(message)).external_id
        found = await adapter.look_up(message)
        assert found is not None
        assert found.found
    finally:
        await adapter.close()


async def test_a_lost_answer_is_asked_for_again_and_strangers_are_refused() -> None:
    async with open_stage("mattermost") as stage:
        assert isinstance(stage, MattermostStage)
        adapter = stage.adapter()
        try:
            own = (await adapter.open()).account_id
            stage.server.commit_then_drop(1, only="POST /api/v4/channels/direct")
            with pytest.raises(FarSideFailed):
                await adapter.direct(stage.person_id())
            assert (await adapter.direct(stage.person_id())).channel_id == stage.direct.id
            for nobody, error in ((own, Refused), ("../users/me", PlaceGone)):
                with pytest.raises(error):
                    await adapter.direct(nobody)
        finally:
            await adapter.close()

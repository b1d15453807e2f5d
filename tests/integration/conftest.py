"""What many integration tests begin with."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fleetprompt.runtime.llm import ModelBoundary
from tests.house import House, fresh_house
from tests.llm_bench import PROVIDERS, Bench, endpoint
from tests.openai_stub import OpenAIStub


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """A migrated database of this test's own, with acme and globex."""
    async with fresh_house() as made:
        yield made


@pytest.fixture
async def stub() -> AsyncIterator[OpenAIStub]:
    """A provider of models on loopback."""
    async with OpenAIStub() as running:
        yield running


@pytest.fixture(params=PROVIDERS)
async def bench(request: pytest.FixtureRequest, stub: OpenAIStub) -> AsyncIterator[Bench]:
    """The model boundary, once for each provider's protocol."""
    async with ModelBoundary(endpoint(request.param, stub)) as boundary:
        yield Bench(request.param, stub, boundary)

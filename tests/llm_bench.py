"""A model boundary wired to the stub, for the tests of the boundary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import SecretStr

from fleetprompt.runtime.llm import (
    Endpoint,
    Message,
    ModelBoundary,
    ModelFailure,
    ModelReply,
    ModelRequest,
    PersonSays,
    ToolSpec,
)
from tests.openai_stub import OpenAIStub, Reply

PROVIDERS = ["openai", "anthropic"]
KEY = "sk-sandboxsecret-key"
SECRET_TEXT = "the launch is on friday"
TOOLS = (
    ToolSpec(
        "orders.status",
        "Where an order is",
        {"type": "object", "properties": {"number": {"type": "string"}}, "required": ["number"]},
    ),
    ToolSpec("orders_list", "All orders", {"type": "object", "properties": {}}),
)


@dataclass
class Bench:
    """A boundary to a stub."""

    provider: str
    stub: OpenAIStub
    boundary: ModelBoundary

    async def ask(self, *replies: Reply, messages: tuple[Message, ...] = (), **more: Any) -> ModelReply:
        self.stub.script(replies)
        messages = messages or (PersonSays("ann", SECRET_TEXT),)
        request = ModelRequest("", "Be brief.", messages, TOOLS, timeout_s=more.pop("timeout_s", 20.0))
        return await self.boundary.respond(request, **more)

    async def failure(self, *replies: Reply, **more: Any) -> ModelFailure:
        with pytest.raises(ModelFailure) as caught:
            await self.ask(*replies, **more)
        return caught.value


def endpoint(provider: str, stub: OpenAIStub, name: str = "stub-model") -> Endpoint:
    url = stub.url if provider == "openai" else stub.anthropic_url
    return Endpoint(f"{provider}:{name}", url, SecretStr(KEY))

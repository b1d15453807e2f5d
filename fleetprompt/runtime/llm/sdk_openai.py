"""A model behind OpenAI's chat completions, or a server that speaks them. Imports the SDK: only who calls one imports this."""

from __future__ import annotations

import re
from typing import Any, Final

import httpx2
from openai import AsyncOpenAI
from pydantic_ai.models import Model
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

# The provider's own address is spelt out: the SDK would otherwise let OPENAI_BASE_URL redirect the key.
OPENAI_URL: Final = "https://api.openai.com/v1"


def open_model(
    name: str, base_url: str | None, key: str, http: httpx2.AsyncClient, timeout: httpx2.Timeout
) -> Model[Any]:
    """It retries nothing. base_url: None = OpenAI's own."""
    client = AsyncOpenAI(
        api_key=key, base_url=base_url or OPENAI_URL, http_client=http, timeout=timeout, max_retries=0
    )
    if base_url is None:
        return OpenAIChatModel(name, provider=OpenAIProvider(openai_client=client))
    provider = OpenAICompatibleProvider(
        "openai-compatible", openai_client=client, profile=_compatible_profile(name)
    )
    return OpenAIChatModel(name, provider=provider)


def _compatible_profile(name: str) -> OpenAIModelProfile:
    """What other servers than OpenAI's take: the older `max_tokens`, and one system message."""
    is_openai = (
        re.match(r"(gpt-\d|o\d)", name) is not None
    )  # a proxy to OpenAI, whose models refuse max_tokens
    return OpenAIModelProfile(
        openai_chat_supports_max_completion_tokens=is_openai,
        openai_chat_supports_multiple_system_messages=False,
    )

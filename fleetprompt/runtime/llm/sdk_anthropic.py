"""A model behind Anthropic's messages API. Imports its SDK, which takes a second: only who calls one imports this."""

from __future__ import annotations

from typing import Any, Final

import httpx2
from anthropic import AsyncAnthropic
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.providers.anthropic import AnthropicProvider

# The provider's own address is spelt out: the SDK would otherwise let ANTHROPIC_BASE_URL redirect the key.
ANTHROPIC_URL: Final = "https://api.anthropic.com"


def open_model(
    name: str, base_url: str | None, key: str, http: httpx2.AsyncClient, timeout: httpx2.Timeout
) -> Model[Any]:
    """It retries nothing. base_url: None = the provider's own."""
    client = AsyncAnthropic(
        api_key=key, base_url=base_url or ANTHROPIC_URL, http_client=http, timeout=timeout, max_retries=0
    )
    return AnthropicModel(name, provider=AnthropicProvider(anthropic_client=client))

"""One endpoint over pydantic-ai's `direct` API. Imports pydantic_ai, so import it in a worker, late; an SDK is later still."""

from __future__ import annotations

import asyncio
import importlib
import json
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
from pydantic_ai.direct import model_request
from pydantic_ai.messages import ModelMessagesTypeAdapter, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.settings import ModelSettings

from fleetprompt.kernel import clock
from fleetprompt.kernel.json import clean

from . import conversation, prices
from .failures import translated
from .names import ModelName
from .types import (
    Endpoint,
    FailureKind,
    ModelFailure,
    ModelReply,
    ModelRequest,
    ToolCall,
    Usage,
    reply_to_raw,
)

# `ModelRequest.timeout_s` ends a call; this only bounds the connecting, and a read that nobody waits for any more.
SDK_TIMEOUT: Final = httpx2.Timeout(900.0, connect=5.0)
NO_KEY: Final = "none"  # the SDKs demand one; a server without keys ignores it


class Wire:
    """One pooled HTTP client and one SDK client to one endpoint; a model object for each name that is asked for."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._base_url = endpoint.base_url
        self._key = endpoint.api_key.get_secret_value() if endpoint.api_key else NO_KEY
        # A model server on this machine is never behind a proxy, whatever the environment says.
        self._http = httpx2.AsyncClient(trust_env=not _is_loopback(endpoint.base_url))
        self._models: dict[ModelName, Model[Any]] = {}

    async def call(self, name: ModelName, request: ModelRequest) -> ModelReply:
        """Make one provider call. Raises ModelFailure."""
        names = conversation.ToolNames(request.tools)
        model = await self._model(name)
        messages = conversation.to_wire(request, names)
        parameters = ModelRequestParameters(
            function_tools=conversation.definitions(request.tools, names),
        )
        messages = _with_instructions(messages, conversation.instructions(request))
        started = clock.monotonic_s()
        with translated(str(name)):
            async with asyncio.timeout(request.timeout_s):  # the SDKs' counts each read, not the call
                response = await model_request(
                    model, messages, model_settings=_settings(request), model_request_parameters=parameters
                )
        return self._reply(name, response, names, round((clock.monotonic_s() - started) * 1000))

    async def close(self) -> None:
        """Close the pooled connections."""
        await self._http.aclose()

    async def _model(self, name: ModelName) -> Model[Any]:
        if name not in self._models:
            sdk = "sdk_anthropic" if name.provider == "anthropic" else "sdk_openai"
            module = await asyncio.to_thread(importlib.import_module, f"fleetprompt.runtime.llm.{sdk}")
            opened = module.open_model(name.name, self._base_url, self._key, self._http, SDK_TIMEOUT)
            self._models.setdefault(name, opened)
        return self._models[name]

    def _reply(
        self, name: ModelName, response: ModelResponse, names: conversation.ToolNames, latency_ms: int
    ) -> ModelReply:
        usage = _usage(response)
        cost_usd = prices.cost_usd(
            name.provider, (response.model_name or "", name.name), self._base_url, usage
        )
        if (useless := _uselessness(name, response)) is not None:
            raise ModelFailure(*useless, usage=usage, cost_usd=cost_usd)
        stored = ModelMessagesTypeAdapter.dump_python([response], mode="json")[0]
        reply = ModelReply(
            text=clean("".join(part.content for part in response.parts if isinstance(part, TextPart))),
            calls=_calls(response, names),
            usage=usage,
            cost_usd=cost_usd,
            model=str(name),
            latency_ms=latency_ms,
            finish=response.finish_reason or "stop",
            raw={},
        )
        return replace(reply, raw=reply_to_raw(reply, clean(stored)))


def _with_instructions(messages: list[Any], text: str) -> list[Any]:
    """pydantic-ai reads the instructions of the last request."""
    if text and messages:
        messages[-1] = replace(messages[-1], instructions=text)
    return messages


def _settings(request: ModelRequest) -> ModelSettings:
    return ModelSettings(max_tokens=request.max_output_tokens)


def _uselessness(name: ModelName, response: ModelResponse) -> tuple[FailureKind, str] | None:
    """Why there is nothing to be had from it; None if there is."""
    if response.finish_reason == "content_filter":
        return FailureKind.REFUSED, f"{name} refused by its content rules"
    if response.finish_reason == "error":
        return FailureKind.MALFORMED, f"{name} stopped with an error"
    said = any(isinstance(part, TextPart) and part.content.strip() for part in response.parts)
    if not said and not any(isinstance(part, ToolCallPart) for part in response.parts):
        return FailureKind.MALFORMED, f"{name} gave an empty answer"
    return None


def _usage(response: ModelResponse) -> Usage:
    used = response.usage
    return Usage(used.input_tokens, used.output_tokens, used.cache_read_tokens, used.cache_write_tokens)


def _calls(response: ModelResponse, names: conversation.ToolNames) -> tuple[ToolCall, ...]:
    parts = [part for part in response.parts if isinstance(part, ToolCallPart)]
    return tuple(_call(index, part, names) for index, part in enumerate(parts))


def _call(index: int, part: ToolCallPart, names: conversation.ToolNames) -> ToolCall:
    raw = part.args if isinstance(part.args, str) else json.dumps(part.args or {})
    return ToolCall(
        index=index,
        name=clean(names.from_wire(part.tool_name)),
        arguments=_arguments(raw),
        raw_arguments=clean(raw),
        provider_id=clean(part.tool_call_id),
    )


def _arguments(raw: str) -> dict[str, Any] | None:
    if not raw.strip():
        return {}  # several servers write nothing for a tool without arguments
    try:
        parsed = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return clean(parsed) if isinstance(parsed, dict) else None


def _is_loopback(base_url: str | None) -> bool:
    host = urlsplit(base_url or "").hostname or ""
    return host == "localhost" or host == "::1" or host.startswith("127.")

"""The one way from here to a model: exactly one call, no retry, a typed answer or a ModelFailure."""

from __future__ import annotations

import asyncio
import importlib
from decimal import Decimal
from typing import TYPE_CHECKING

from fleetprompt.kernel.errors import InvalidInput

from .builtin import plan
from .names import ModelName, parse_model, resolve
from .prices import cost_usd
from .types import Endpoint, FailureKind, ModelFailure, ModelReply, ModelRequest, Usage

if TYPE_CHECKING:
    from .wire import Wire


CHARS_A_TOKEN = 3


class ModelBoundary:
    """The model of the settings, and its fallback. Close it, or use it as an async context manager."""

    def __init__(self, primary: Endpoint, fallback: Endpoint | None = None) -> None:
        """Raises InvalidInput if an endpoint's model is no model, or needs a key that is not there."""
        for endpoint in filter(None, (primary, fallback)):
            resolve("", endpoint)
        self._endpoints = {False: primary, True: fallback}
        self._wires: dict[bool, Wire] = {}
        self._opening = asyncio.Lock()

    @property
    def has_fallback(self) -> bool:
        """Whether `respond(..., fallback=True)` has somewhere to go."""
        return self._endpoints[True] is not None

    def check(self, model: str) -> ModelName:
        """Say whether an agent may have this model. Raises InvalidInput; for settings and the command line."""
        endpoint = self._endpoints[False]
        assert endpoint is not None
        return resolve(model, endpoint) if model.strip() else parse_model(endpoint.model)

    def estimate_usd(self, request: ModelRequest, *, fallback: bool = False) -> Decimal | None:
        """What a call may cost at most, to be reserved before it: every three characters a token, all output used.

        None if nobody knows the price; 0 for the builtin planner.
        """
        endpoint = self._endpoints[fallback]
        try:
            name = resolve("" if fallback else request.model, endpoint) if endpoint is not None else None
        except InvalidInput:
            return None  # the call will say so
        if endpoint is None or name is None:
            return None
        if name.provider == "builtin":
            return Decimal(0)
        usage = Usage(len(repr(request)) // CHARS_A_TOKEN, request.max_output_tokens)
        return cost_usd(name.provider, (name.name,), endpoint.base_url, usage)

    async def respond(self, request: ModelRequest, *, fallback: bool = False) -> ModelReply:
        """Ask once. The fallback answers with its own model, whatever the request names.

        Raises: ModelFailure, and nothing else; `policy.decide` says what comes next.
        """
        endpoint = self._endpoints[fallback]
        if endpoint is None:
            raise ModelFailure(FailureKind.BAD_REQUEST, "no fallback is configured")
        try:
            name = resolve("" if fallback else request.model, endpoint)
        except InvalidInput as error:
            raise ModelFailure(FailureKind.BAD_REQUEST, str(error)) from error
        if name.provider == "builtin":
            return plan(request)
        return await (await self._wire(fallback, endpoint)).call(name, request)

    async def close(self) -> None:
        """Close the connections to the providers."""
        for wire in self._wires.values():
            await wire.close()
        self._wires.clear()

    async def __aenter__(self) -> ModelBoundary:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _wire(self, fallback: bool, endpoint: Endpoint) -> Wire:
        async with self._opening:
            if fallback not in self._wires:
                # Seconds of imports: not in the event loop, and not for those who never call a real model.
                module = await asyncio.to_thread(importlib.import_module, "fleetprompt.runtime.llm.wire")
                self._wires[fallback] = module.Wire(endpoint)
        return self._wires[fallback]

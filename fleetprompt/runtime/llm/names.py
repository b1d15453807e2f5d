"""How models are named: `builtin`, `openai:NAME`, `anthropic:NAME`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from fleetprompt.kernel.errors import InvalidInput

from .types import BUILTIN, Endpoint

Provider = Literal["builtin", "openai", "anthropic"]
ACCEPTED: Final = "Use builtin, openai:NAME (with FLEETPROMPT_MODEL_BASE_URL for any OpenAI-compatible server) or anthropic:NAME."


@dataclass(frozen=True, slots=True)
class ModelName:
    """A parsed model string."""

    provider: Provider
    name: str  # as the provider knows it; empty for the builtin planner

    def __str__(self) -> str:
        return f"{self.provider}:{self.name}" if self.name else self.provider


def parse_model(text: str) -> ModelName:
    """Read a model string. Raises InvalidInput, which names the accepted forms."""
    provider, _, name = text.strip().partition(":")
    if provider == BUILTIN and not name:
        return ModelName("builtin", "")
    if name and not any(char.isspace() or not char.isprintable() for char in name):
        if provider == "openai":
            return ModelName("openai", name)
        if provider == "anthropic":
            return ModelName("anthropic", name)
    raise InvalidInput(f"{text[:80]!r} is no model.", ACCEPTED)


def resolve(model: str, endpoint: Endpoint) -> ModelName:
    """The model that `endpoint` shall use: an agent's own, or the endpoint's if `model` is empty.

    Raises InvalidInput where the endpoint cannot serve it: another provider's, or no key.
    """
    configured = parse_model(endpoint.model)
    wanted = parse_model(model) if model.strip() else configured
    if wanted.provider == "builtin":
        return wanted
    if wanted.provider != configured.provider:
        raise InvalidInput(
            f"The model {wanted} needs {wanted.provider}, but the settings name {configured}.",
            f"Set FLEETPROMPT_MODEL={wanted} and FLEETPROMPT_MODEL_API_KEY, or give the agent another model.",
        )
    if endpoint.api_key is None and endpoint.base_url is None:
        raise InvalidInput(f"There is no key for the model {wanted}.", "Set FLEETPROMPT_MODEL_API_KEY.")
    return wanted

"""How models are named, who serves them and what they cost."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal

import pytest
from pydantic import SecretStr

from fleetprompt.kernel.errors import InvalidInput
from fleetprompt.runtime.llm import (
    Endpoint,
    FailureKind,
    ModelBoundary,
    ModelFailure,
    ModelRequest,
    PersonSays,
    Usage,
    parse_model,
)
from fleetprompt.runtime.llm.prices import cost_usd


@pytest.mark.parametrize(
    "text",
    ["builtin", "openai:gpt-5", "openai:llama3.3:70b", "openai:org/model", "anthropic:claude-haiku-4-5"],
)
def test_model_string_is_read_and_written_back(text: str) -> None:
    assert str(parse_model(f" {text} ")) == text


@pytest.mark.parametrize(
    "text",
    ["", "gpt-5", "openai", "openai:", "builtin:x", "mistral:x", "openai:a b", "openai:a\x00", "x" * 999],
)
def test_other_strings_are_refused_with_the_accepted_forms(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_model(text)
    for form in ("builtin", "openai:NAME", "anthropic:NAME", "FLEETPROMPT_MODEL_BASE_URL"):
        assert form in str(caught.value)
    assert len(str(caught.value)) < 400


def test_model_of_the_providers_own_server_needs_a_key() -> None:
    with pytest.raises(InvalidInput, match="FLEETPROMPT_MODEL_API_KEY"):
        ModelBoundary(Endpoint("openai:gpt-5"))
    ModelBoundary(Endpoint("openai:llama", "http://127.0.0.1:1/v1"))


def test_bad_fallback_is_found_at_the_start() -> None:
    with pytest.raises(InvalidInput):
        ModelBoundary(Endpoint(), Endpoint("nonsense"))


def test_agent_model_of_another_provider_is_refused_when_it_is_set() -> None:
    boundary = ModelBoundary(Endpoint("openai:gpt-5", None, SecretStr("k")))
    assert str(boundary.check("openai:gpt-5-mini")) == "openai:gpt-5-mini"
    assert str(boundary.check("builtin")) == "builtin"
    assert str(boundary.check("")) == "openai:gpt-5"
    with pytest.raises(InvalidInput, match="needs anthropic"):
        boundary.check("anthropic:claude-haiku-4-5")


@pytest.mark.parametrize("model", ["nonsense", "anthropic:claude-haiku-4-5"])
async def test_run_with_a_bad_model_ends_as_a_failure_with_a_sentence(model: str) -> None:
    with pytest.raises(ModelFailure) as caught:
        await ModelBoundary(Endpoint()).respond(ModelRequest(model, "", (PersonSays("ann", "hi"),)))
    assert caught.value.kind is FailureKind.BAD_REQUEST


async def test_missing_fallback_is_a_failure() -> None:
    boundary = ModelBoundary(Endpoint())
    assert not boundary.has_fallback
    with pytest.raises(ModelFailure):
        await boundary.respond(ModelRequest("", "", (PersonSays("ann", "hi"),)), fallback=True)


async def test_builtin_costs_nothing() -> None:
    reply = await ModelBoundary(Endpoint()).respond(ModelRequest("", "", (PersonSays("ann", "hi"),)))
    assert (reply.cost_usd, reply.usage, reply.model) == (Decimal(0), Usage(), "builtin")


def test_no_provider_library_is_imported_before_a_real_call() -> None:
    """Half of the processes (web, listener) never call a model; theirs is the memory and the start-up time."""
    program = (
        "import asyncio, sys\n"
        "from fleetprompt.runtime.llm import *\n"
        "boundary = ModelBoundary(Endpoint(), Endpoint('openai:m', 'http://127.0.0.1:1/v1'))\n"
        "asyncio.run(boundary.respond(ModelRequest('', '', (PersonSays('ann', 'hi'),))))\n"
        "print([m for m in ('pydantic_ai', 'openai', 'anthropic', 'genai_prices', 'httpx2') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_known_models_have_a_price() -> None:
    usage = Usage(1_000_000, 1_000_000)
    for provider, name in (("openai", "gpt-4o"), ("anthropic", "claude-haiku-4-5")):
        price = cost_usd(provider, (name,), None, usage)
        assert price is not None
        assert price > 1


@pytest.mark.parametrize("name", ["llama3.3:70b", "my-finetune", ""])
def test_unknown_price_is_none_and_never_zero(name: str) -> None:
    assert cost_usd("openai", (name,), "http://127.0.0.1:1/v1", Usage(10, 10)) is None


def test_uncounted_call_has_no_price() -> None:
    assert cost_usd("openai", ("gpt-4o",), None, Usage()) is None


def test_what_answered_counts_before_what_was_asked_for() -> None:
    usage = Usage(1_000_000, 0)
    answered = cost_usd("openai", ("gpt-4o", "gpt-4o-mini"), None, usage)
    asked = cost_usd("openai", ("gpt-4o-mini",), None, usage)
    assert answered is not None
    assert asked is not None
    assert answered > asked
    assert cost_usd("openai", ("no-such-model", "gpt-4o-mini"), None, usage) == asked


def test_cached_tokens_are_cheaper() -> None:
    whole = cost_usd("anthropic", ("claude-haiku-4-5",), None, Usage(1000, 0))
    cached = cost_usd("anthropic", ("claude-haiku-4-5",), None, Usage(1000, 0, cache_read_tokens=900))
    assert whole is not None
    assert cached is not None
    assert cached < whole

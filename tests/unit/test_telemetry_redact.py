"""What is taken out of logs and spans."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetprompt.kernel.secret import Secret
from fleetprompt.telemetry.redact import MAX_TEXT_CHARS, REDACTED, hides, redact, redact_mapping, scrub

PRIVATE = "zebra crossing at dawn"


@pytest.mark.parametrize(
    "key",
    ["text", "body", "message", "token", "password", "secret", "authorization", "api_key", "bot_token", "messageText", "X-Api-Key", "Authorization", "raw_body", "Set-Cookie", "apiKey"],
)  # fmt: skip
def test_bodies_and_secrets_go_by_their_key(key: str) -> None:
    assert redact_mapping({key: PRIVATE}) == {key: REDACTED}


@pytest.mark.parametrize(
    "key",
    [
        "message_id",
        "input_tokens",
        "event",
        "body_bytes",
        "secret_id",
        "dedupe_key",
        "org",
        "textual",
        "state",
    ],
)
def test_ids_names_and_sizes_stay(key: str) -> None:
    assert not hides(key)


def test_numbers_stay_under_any_key() -> None:
    assert redact_mapping({"token": 12, "text": None, "secret": True}) == {
        "token": 12,
        "text": None,
        "secret": True,
    }


@pytest.mark.parametrize(
    "shape",
    [
        "Bearer abcdefgh12345678", "authorization: Basic dXNlcjpwYXNzd29yZA==", "sk-proj-0123456789abcdefghij", "sk-ant-api03-abcdefghijklmnop",
        "ghp_0123456789abcdefghij0123", "xoxb-123456789012-abcdef", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "AKIAIOSFODNN7EXAMPLE",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-def", "postgresql://me:hunter22@db/fleet", "https://x/?token=abcd1234&a=b",
        '{"password": "hunter22"}', "api_key=abcd1234",
    ],
)  # fmt: skip
def test_what_looks_like_a_secret_is_scrubbed_from_any_text(shape: str) -> None:
    shown = scrub(f"call failed: {shape}; again")
    assert REDACTED in shown
    assert shape.split()[-1] not in shown
    for value in ("hunter22", "abcd1234", "0123456789abcdefghij", "dXNlcjpwYXNzd29yZA"):
        assert value not in shown


def test_ordinary_sentences_stay_as_they_are() -> None:
    for text in (
        "Postgres is away: connection refused",
        "tokens used: 512",
        "post 4xp9fdt77pncbef59f4k1qe83o created",
        "http://127.0.0.1:8065/api/v4",
    ):
        assert scrub(text) == text


def test_a_secret_is_scrubbed_by_its_value_wherever_it_turns_up() -> None:
    secret = Secret("9fdt77pncbef59f4k1qe83o4xp")
    assert secret.reveal() not in str(redact({"url": f"http://host/{secret.reveal()}", "given": secret}))


def test_an_error_given_as_a_value_is_only_named() -> None:
    assert redact({"error": ValueError(PRIVATE)}) == {"error": "ValueError"}


def test_bytes_are_counted_not_shown() -> None:
    assert redact({"raw": PRIVATE.encode()}) == {"raw": f"[{len(PRIVATE)} bytes]"}


def test_long_texts_are_cut() -> None:
    assert len(scrub("a" * 10_000_000)) < MAX_TEXT_CHARS + 50


def _nested(inner: Any) -> Any:
    return st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["a", "b", "items"]), inner, max_size=3
    )


@given(
    st.recursive(
        st.just({"text": PRIVATE}) | st.just({"deep": {"api_key": [PRIVATE]}}) | st.integers(),
        _nested,
        max_leaves=20,
    )
)
def test_no_depth_hides_a_body_from_the_redaction(value: Any) -> None:
    assert PRIVATE not in str(redact(value))


def test_a_value_that_contains_itself_ends() -> None:
    value: dict[str, Any] = {}
    value["a"] = value
    assert redact(value)

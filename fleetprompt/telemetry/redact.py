"""What is taken out of every log line and span: message bodies by their key, secrets by key, shape and value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from fleetprompt.kernel.secret import without_living_secrets

REDACTED: Final = "[redacted]"
MAX_DEPTH: Final = 8
MAX_ITEMS: Final = 50
MAX_TEXT_CHARS: Final = 4000

# The last words of a key decide: `bot_token`, `messageText` and `X-Api-Key` go; `message_id`, `input_tokens` stay.
BODY_WORDS: Final = frozenset(
    {
        "text",
        "body",
        "message",
        "content",
        "payload",
        "prompt",
        "answer",
        "arguments",
        "attachments",
        "subject",
    }
)
SECRET_WORDS: Final = frozenset(
    {
        "token",
        "password",
        "passwd",
        "secret",
        "authorization",
        "key",
        "cookie",
        "credential",
        "credentials",
        "passphrase",
        "signature",
        "dsn",
    }
)
PUBLIC_KEYS: Final = frozenset({"dedupe_key", "idempotency_key", "unique_key", "effect_key"})
_HIDDEN_WORDS: Final = BODY_WORDS | SECRET_WORDS

_SHAPES: Final = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"(?i)\b(bearer|basic|token)\s+[a-z0-9+/_.=~-]{8,}", r"\1 " + REDACTED),
        (r"\b(?:sk|pk|rk)-[A-Za-z0-9_-]{16,}", REDACTED),  # OpenAI, Anthropic
        (r"\bgh[oprsu]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}", REDACTED),
        (r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}", REDACTED),  # Slack
        (r"\bwhsec_[A-Za-z0-9+/=]{16,}", REDACTED),  # Standard Webhooks
        (r"\bA(?:KIA|SIA)[A-Z0-9]{16}\b", REDACTED),
        (r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*", REDACTED),  # JSON Web Token
        (r"(/secret/)[A-Za-z0-9_-]{16,}", r"\1" + REDACTED),  # one-time links
        (r"://[^/\s:@]*:[^/\s@]+@", f"://{REDACTED}@"),  # URL with a password
        (
            r"(?i)\b((?:\w*_)?(?:token|password|passwd|secret|api_?key))(['\"]?\s*[=:]\s*['\"]?)[^\s&'\",;)}\]]{4,}",
            r"\1\2" + REDACTED,
        ),
        (r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----", REDACTED),
    )
)


def scrub(text: str) -> str:
    """The text without known secrets and without what has the shape of one; cut when it is very long."""
    chars, text = len(text), without_living_secrets(text[: 2 * MAX_TEXT_CHARS])
    for shape, replacement in _SHAPES:
        text = shape.sub(replacement, text)
    return text if chars <= MAX_TEXT_CHARS else f"{text[:MAX_TEXT_CHARS]}… ({chars} characters)"


def hides(key: str) -> bool:
    """Must the value under this key not be shown?"""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).lower().replace("-", "_")
    return words not in PUBLIC_KEYS and words.rsplit("_", 1)[-1] in _HIDDEN_WORDS


def redact(value: Any, depth: int = 0) -> Any:
    """A copy that may be shown. Numbers and truth values say nothing, so they stay under any key."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} bytes]"
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return _inside(value, depth) if depth < MAX_DEPTH else REDACTED
    if isinstance(value, BaseException):
        return type(value).__name__  # its words may quote a body
    return scrub(str(value))


def redact_mapping(values: Mapping[Any, Any], depth: int = 0) -> dict[str, Any]:
    """Each value judged by its key first."""
    shown = list(values.items())[:MAX_ITEMS]
    return {str(key): _by_key(str(key), value, depth) for key, value in shown}


def _by_key(key: str, value: Any, depth: int) -> Any:
    if hides(key) and not (value is None or isinstance(value, bool | int | float)):
        return REDACTED
    return redact(value, depth)


def _inside(value: Any, depth: int) -> Any:
    if isinstance(value, Mapping):
        return redact_mapping(value, depth + 1)
    return [redact(item, depth + 1) for item in list(value)[:MAX_ITEMS]]

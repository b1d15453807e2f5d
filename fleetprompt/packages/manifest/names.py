"""The words of a manifest: what may be a slug, a version, a signal, a scope. Each refusal says what would do."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from fleetprompt.packages.manifest.ranges import VersionRange, parse_version

CONNECTORS: Final = ("mattermost", "proton-mail", "webhook")
"""What a package may bind: the platform's own connectors, by their keys. A manifest never names code."""
SLUG: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
MAX_SLUG: Final = 40
KEY: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
DOTTED: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*){1,5}")
PATTERN: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*){0,5}(\.\*)?")
SCOPE: Final = re.compile(r"[a-z][a-z0-9_-]*([.:][a-z][a-z0-9_-]*){1,4}")


def checked_slug(text: str) -> str:
    """Lower-case ASCII words joined by hyphens. Raises ValueError; a look-alike letter is named."""
    _require_ascii(text)
    if any(mark in text for mark in "/\\") or ".." in text:
        raise ValueError("this is a path; a name has none")
    if not SLUG.fullmatch(text) or len(text) > MAX_SLUG:
        raise ValueError(f"write at most {MAX_SLUG} lower-case letters, digits and hyphens, as in order-desk")
    return text


def _require_ascii(text: str) -> None:
    for letter in text:
        if not letter.isascii():
            name = unicodedata.name(letter, f"U+{ord(letter):04X}")
            raise ValueError(f"it holds {name}, which can be mistaken for another letter; use a to z")


def _matching(pattern: re.Pattern[str], example: str) -> AfterValidator:
    def check(text: str) -> str:
        _require_ascii(text)
        if not pattern.fullmatch(text):
            raise ValueError(f"write it as {example}")
        return text

    return AfterValidator(check)


def _version(text: str) -> str:
    parse_version(text)
    return text


def _range(text: str) -> str:
    VersionRange.parse(text)
    return text


def _one_line(text: str) -> str:
    if not text.strip() or text != text.strip() or "\n" in text:
        raise ValueError("write one line without spaces at its ends")
    return text


def _connector(text: str) -> str:
    if text not in CONNECTORS:
        raise ValueError(f"there is no such connector; there is: {', '.join(CONNECTORS)}")
    return text


Slug = Annotated[str, AfterValidator(checked_slug)]
SemVer = Annotated[str, AfterValidator(_version)]
Range = Annotated[str, AfterValidator(_range)]
Line = Annotated[str, Field(max_length=120), AfterValidator(_one_line)]
Prose = Annotated[str, Field(min_length=1, max_length=8000)]
Key = Annotated[str, _matching(KEY, "bot_token")]
ToolName = Annotated[str, _matching(DOTTED, "orders.lookup")]
SignalName = Annotated[str, _matching(DOTTED, "chat.message.received")]
SignalPattern = Annotated[str, _matching(PATTERN, "chat.message.received or chat.message.*")]
DirectiveName = Annotated[str, _matching(DOTTED, "mattermost.post.create")]
ScopeName = Annotated[str, _matching(SCOPE, "mattermost.posts:write")]
ConnectorKey = Annotated[str, AfterValidator(_connector)]
Json = Any


class Part(BaseModel):
    """What every part of a manifest is: strict, closed, unchangeable."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

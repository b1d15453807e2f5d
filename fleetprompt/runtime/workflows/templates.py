"""Templates: `{{signal.payload.text}}` stands for what lies at that path. A look-up, never an evaluation.

    template = "{{" path "}}"        with spaces inside, if you like
    path     = "signal." field | "signal.payload." key {"." key} | "steps." name ".result" {"." key}
    key      = a letter or "_", then letters, digits, "_", "-"; or digits, the place in a list

A text that is one template and nothing else has the value itself, with its type; within a longer text a value is
written out. What a look-up finds is never looked at again, so a stranger's `{{...}}` stays text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fleetprompt.kernel.errors import InvalidInput
from fleetprompt.kernel.json import canonical

SIGNAL_FIELDS: Final = (
    "id",
    "name",
    "occurred_at",
    "actor_kind",
    "actor_id",
    "actor_name",
    "installation_id",
    "conversation_id",
    "correlation_id",
)
MAX_PATH_CHARS: Final = 300
MAX_RENDERED_CHARS: Final = 200_000
STEP_NAME: Final = r"[a-z][a-z0-9_]{0,39}"
_KEY: Final = r"(?:[A-Za-z_][A-Za-z0-9_-]*|[0-9]{1,6})"
_PATH: Final = re.compile(
    rf"signal\.(?:{'|'.join(SIGNAL_FIELDS)})|signal\.payload(?:\.{_KEY})+|steps\.{STEP_NAME}\.result(?:\.{_KEY})*",
    re.ASCII,
)
_BRACES: Final = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
GRAMMAR: Final = "Write signal.payload.KEY, signal.name or another field of it, or steps.NAME.result.KEY"

Context = Mapping[str, Any]
"""{"signal": {...}, "steps": {name: {"result": ...}}}, as JSON."""


class Missing(InvalidInput):
    """There is nothing at a path. Says the path, never what is beside it."""

    code = "missing_value"

    def __init__(self, path: str) -> None:
        super().__init__(
            f"There is no {path}.", "A condition (`when`) can skip the step where it is not there."
        )


class TooLarge(InvalidInput):
    """A filled-in template is longer than anybody wants."""

    code = "too_large"


@dataclass(frozen=True, slots=True)
class Path:
    """A parsed path."""

    text: str
    keys: tuple[str, ...]

    @property
    def step(self) -> str | None:
        """The step whose result it reads; None if it reads the signal."""
        return self.keys[1] if self.keys[0] == "steps" else None


def parse_path(text: str) -> Path:
    """Raises InvalidInput for what is no path."""
    if len(text) > MAX_PATH_CHARS or _PATH.fullmatch(text) is None:
        raise InvalidInput(f"{text[:60]!r} is no path.", f"{GRAMMAR}.")
    return Path(text, tuple(text.split(".")))


def look_up(path: Path, context: Context) -> Any:
    """What is there; it may be None. Raises Missing."""
    value: Any = context
    for key in path.keys:
        if isinstance(value, Mapping) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            raise Missing(path.text)
    return value


def parse_text(text: str) -> list[str | Path]:
    """A text's literal parts and templates, in order. Raises InvalidInput for braces that are no template."""
    parts: list[str | Path] = []
    end = 0
    for found in _BRACES.finditer(text):
        parts += [_literal(text[end : found.start()]), parse_path(found[1].strip(" "))]
        end = found.end()
    return [part for part in [*parts, _literal(text[end:])] if part != ""]


def paths_in(value: Any) -> Iterator[Path]:
    """Each path of each template in a JSON value. Raises InvalidInput as `parse_text` does."""
    if isinstance(value, str):
        yield from (part for part in parse_text(value) if isinstance(part, Path))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from paths_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from paths_in(item)


def fill_in(value: Any, context: Context) -> Any:
    """The JSON value with its templates filled in; keys are no templates. Raises Missing, TooLarge."""
    filled = _fill_in(value, context)
    if len(canonical(filled)) > MAX_RENDERED_CHARS:
        raise TooLarge("What the templates come to is too long.", f"At most {MAX_RENDERED_CHARS} characters.")
    return filled


def _fill_in(value: Any, context: Context) -> Any:
    if isinstance(value, str):
        return _fill_text(value, context)
    if isinstance(value, Mapping):
        return {key: _fill_in(item, context) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill_in(item, context) for item in value]
    return value


def _fill_text(text: str, context: Context) -> Any:
    parts = parse_text(text)
    if len(parts) == 1 and isinstance(parts[0], Path):
        return look_up(parts[0], context)
    written, length = [], 0
    for part in parts:
        written.append(part if isinstance(part, str) else _written(look_up(part, context)))
        length += len(written[-1])
        if length > MAX_RENDERED_CHARS:  # before the next: a value may be named a thousand times
            raise TooLarge("What a text comes to is too long.", f"At most {MAX_RENDERED_CHARS} characters.")
    return "".join(written)


def _written(value: Any) -> str:
    """A value within a text: text as it is, nothing for null, JSON for the rest."""
    if value is None:
        return ""
    return value if isinstance(value, str) else canonical(value)


def _literal(text: str) -> str:
    if "{{" in text or "}}" in text:
        raise InvalidInput(
            f"There are braces without a template near {text[:40]!r}.", f"{GRAMMAR} in {{{{ }}}}."
        )
    return text

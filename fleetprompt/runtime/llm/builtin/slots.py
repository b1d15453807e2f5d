"""What a tool needs to know, read from the JSON schema of its Pydantic model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from fleetprompt.runtime.llm.types import ToolSpec

from .words import Kind, Token


class Holds(Enum):
    """What goes into a slot."""

    ID = auto()
    INTEGER = auto()
    NUMBER = auto()
    CHOICE = auto()
    CHANNEL = auto()
    PERSON = auto()
    REASON = auto()
    TEXT = auto()
    OTHER = auto()  # objects, lists, yes or no: only an example's constant or a typed command fills it


@dataclass(frozen=True, slots=True)
class Slot:
    """One argument of a tool."""

    name: str
    holds: Holds
    required: bool
    choices: tuple[Any, ...] = ()
    pattern: str | None = None

    @property
    def is_entity(self) -> bool:
        """Whether one token of a message fills it, recognisable by its look."""
        return self.holds in {Holds.ID, Holds.INTEGER, Holds.NUMBER, Holds.CHANNEL, Holds.PERSON}

    def read(self, token: Token) -> Any:
        """The argument that a token stands for, or None if it cannot be one."""
        match self.holds:
            case Holds.ID if token.kind in {Kind.ID, Kind.QUOTED}:
                return token.value if self._fits(token.value) else None
            case Holds.INTEGER if token.kind is Kind.ID:
                return int(token.value) if re.fullmatch(r"-?\d{1,15}", token.value) else None
            case Holds.NUMBER if token.kind is Kind.ID:
                return float(token.value) if re.fullmatch(r"-?\d{1,15}(\.\d+)?", token.value) else None
            case Holds.CHANNEL if token.kind is Kind.CHANNEL:
                return token.value
            case Holds.PERSON if token.kind is Kind.PERSON:
                return token.value
            case Holds.CHOICE:
                return next((c for c in self.choices if _plain(str(c)) == _plain(token.value)), None)
            case _:
                return None

    def _fits(self, value: str) -> bool:
        if self.pattern is None:
            return bool(value) and " " not in value
        try:
            return re.search(self.pattern, value) is not None
        except re.error:  # JSON Schema's expressions are ECMA's, a few of which Python does not know
            return True


_ID_NAMES: Final = re.compile(
    r"(^|_)(id|ids|no|nr|number|num|code|ref|reference|key|sku|order|ticket|invoice)$"
)
_REASON_NAMES: Final = re.compile(r"(^|_)(reason|why|cause|because|justification)$")


def slots_of(tool: ToolSpec) -> tuple[Slot, ...]:
    """The slots of a tool, in the order of its schema."""
    required = set(tool.parameters.get("required", ()))
    properties = tool.parameters.get("properties", {})
    return tuple(_slot(name, schema, name in required, tool) for name, schema in properties.items())


def _slot(name: str, schema: dict[str, Any], required: bool, tool: ToolSpec) -> Slot:
    plain = _resolve(schema, tool.parameters)
    choices = tuple(plain.get("enum", (plain["const"],) if "const" in plain else ()))
    return Slot(name, _holds(name, plain, choices, tool), required, choices, plain.get("pattern"))


def _resolve(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """Follow Pydantic's `$ref` and the `anyOf` of an optional field to the schema that matters."""
    if "$ref" in schema:
        return _resolve(root.get("$defs", {}).get(schema["$ref"].rsplit("/", 1)[-1], {}), root)
    for key in ("anyOf", "allOf", "oneOf"):
        kept = [one for one in schema.get(key, ()) if one.get("type") != "null"]
        if len(kept) == 1:
            return _resolve(kept[0], root)
    return schema


def _holds(name: str, schema: dict[str, Any], choices: tuple[Any, ...], tool: ToolSpec) -> Holds:
    if choices:
        return Holds.CHOICE
    by_type = {"integer": Holds.INTEGER, "number": Holds.NUMBER, "string": Holds.TEXT}
    holds = by_type.get(str(schema.get("type")), Holds.OTHER)
    return _text_holds(name, tool) if holds is Holds.TEXT else holds


def _text_holds(name: str, tool: ToolSpec) -> Holds:
    """What a string stands for, by its name and by what the tool's examples put into it."""
    given = [str(example.arguments[name]) for example in tool.examples if name in example.arguments]
    if "channel" in name:
        return Holds.CHANNEL
    if _REASON_NAMES.search(name):
        return Holds.REASON
    if name in {"person", "user", "username", "assignee", "who"}:
        return Holds.PERSON
    looks_like_id = bool(given) and all(re.fullmatch(r"(?=\S*\d)[\w/.-]+", value) for value in given)
    return Holds.ID if looks_like_id or (not given and _ID_NAMES.search(name)) else Holds.TEXT


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", " ", text).strip().casefold()

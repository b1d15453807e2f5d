"""Typed commands: `order_hold number=1042 reason="the customer asked"`, or `run order_hold {"number": "1042"}`."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from .clauses import Part
from .reading import Reading
from .slots import Holds, Slot
from .templates import Repertoire, Template
from .words import readable, tokens

_COMMAND: Final = re.compile(
    r"\s*(?:(?:run|call|use)\s+|[/!])?([\w.-]+)\s*(.*?)\s*", re.DOTALL | re.IGNORECASE
)
_PAIR: Final = re.compile(r"""([A-Za-z_]\w*)=("[^"]*"|'[^']*'|[^\s"']+)(?:\s+|,\s*|$)""")


def read_command(text: str, known: Repertoire) -> Reading | None:
    """A message that is one typed command, and nothing else; None for any other."""
    plain = readable(text)
    match = _COMMAND.fullmatch(plain)
    template = _named(match[1], known) if match else None
    if match is None or template is None:
        return None
    given = _arguments(match[2])
    if given is None:
        return None
    bindings = _typed(given, template)
    if bindings is None:
        return None
    return Reading(Part(tokens(plain), plain), template, bindings, True, 1.0, 1.0)


def _named(name: str, known: Repertoire) -> Template | None:
    """The template that a tool's own name makes; it has no constants."""
    wanted = name.casefold().replace(".", "_").replace("-", "_")
    for template in known.templates:
        ours = template.tool.name.casefold().replace(".", "_").replace("-", "_")
        if template.is_from_name and ours == wanted:
            return template
    return None


def _arguments(rest: str) -> dict[str, Any] | None:
    if rest.startswith("{"):
        try:
            given = json.loads(rest)
        except (ValueError, RecursionError):
            return None
        return given if isinstance(given, dict) else None
    pairs = list(_PAIR.finditer(rest))
    if "".join(pair.group() for pair in pairs) != rest:
        return None
    return {pair[1]: pair[2].strip("\"'") for pair in pairs}


def _typed(given: dict[str, Any], template: Template) -> dict[str, tuple[Any, ...]] | None:
    """The arguments as the slots hold them; None if one is unknown or cannot be that."""
    bindings: dict[str, tuple[Any, ...]] = {}
    for name, value in given.items():
        slot = template.slot(name)
        read = _read(slot, value) if slot else None
        if read is None:
            return None
        bindings[name] = (read,)
    return bindings


def _read(slot: Slot, value: Any) -> Any:
    if not isinstance(value, str):
        return value  # JSON: the tool's own model judges it
    if slot.holds is Holds.CHOICE:
        return next((choice for choice in slot.choices if str(choice).casefold() == value.casefold()), None)
    if slot.holds is Holds.INTEGER:
        return int(value) if re.fullmatch(r"-?\d{1,15}", value) else None
    if slot.holds is Holds.NUMBER:
        return float(value) if re.fullmatch(r"-?\d{1,15}(\.\d+)?", value) else None
    if slot.holds is Holds.OTHER:
        return {"true": True, "yes": True, "false": False, "no": False}.get(value.casefold())
    return value.lstrip("#~@") if slot.holds in {Holds.CHANNEL, Holds.PERSON, Holds.ID} else value

"""Options that many commands share."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import rich_click as click

Command = TypeVar("Command", bound=Callable[..., Any])

org = click.option("--org", required=True, metavar="SLUG", help="The organization; always explicit.")
as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
limit = click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=50,
    show_default=True,
    help="At most so many, the newest.",
)


def fields(names: Sequence[str]) -> str:
    """The last paragraph of a command's help: its stable JSON fields."""
    return f"JSON fields: {', '.join(names)}."


def merged(before: Mapping[str, Any], pairs: Sequence[str]) -> dict[str, Any]:
    """KEY=VALUE options over what is there; an empty value takes the key away."""
    from fleetprompt.kernel.errors import InvalidInput

    values = dict(before)
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator:
            raise InvalidInput(f"{pair[:60]!r} is no KEY=VALUE.", "Write it as max_steps=4.")
        values.pop(key, None)
        if value:
            values[key] = parsed(value)
    return values


def parsed(value: str) -> Any:
    """JSON where it is JSON (`4`, `true`, `{"a": 1}`), else the text itself."""
    try:
        return json.loads(value)
    except ValueError:
        return value

"""Options that many commands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

"""One measured figure, and the table of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results.json"


@dataclass(frozen=True, slots=True)
class Figure:
    """figure: its name with its unit. ratio: None where the floor is only shown beside it. holds: the goal is met."""

    figure: str
    value: float
    floor: float | None
    ratio: float | None
    goal: str
    holds: bool


def report(figures: Sequence[Figure], *, is_whole: bool) -> None:
    """Print the table and write results.json, a JSON array of one object a figure.

    is_whole: nothing was left out; otherwise the figures of before that were not taken again stay there.
    """
    table = Table("figure", "value", "floor", "ratio", "goal", "holds")
    for one in figures:
        table.add_row(
            one.figure, _number(one.value), _number(one.floor), _number(one.ratio), one.goal, _word(one)
        )
    Console().print(table)
    RESULTS.write_text(
        json.dumps(_kept(figures, is_whole=is_whole) + [asdict(one) for one in figures], indent=1) + "\n"
    )


def _kept(figures: Sequence[Figure], *, is_whole: bool) -> list[dict[str, Any]]:
    if is_whole or not RESULTS.exists():
        return []
    fresh = {one.figure for one in figures}
    return [one for one in json.loads(RESULTS.read_text()) if one["figure"] not in fresh]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.2f}"


def _word(figure: Figure) -> str:
    return "yes" if figure.holds else "no"

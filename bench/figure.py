"""One measured figure, and the table of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

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


def report(figures: Sequence[Figure]) -> None:
    """Print the table and write results.json, a JSON array of one object a figure."""
    table = Table("figure", "value", "floor", "ratio", "goal", "holds")
    for one in figures:
        table.add_row(
            one.figure, _number(one.value), _number(one.floor), _number(one.ratio), one.goal, _word(one)
        )
    Console().print(table)
    RESULTS.write_text(json.dumps([asdict(one) for one in figures], indent=1) + "\n")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.2f}"


def _word(figure: Figure) -> str:
    return "yes" if figure.holds else "no"

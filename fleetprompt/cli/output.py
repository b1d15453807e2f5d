"""What commands print: tables of at most 100 columns for people, one JSON object a line for programs."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

if TYPE_CHECKING:
    from rich.console import Console

WIDTH: Final = 100
EMPTY: Final = "-"
CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
UNITS: Final = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))

Row = Mapping[str, Any]


def pick(thing: Any, fields: Sequence[str]) -> dict[str, Any]:
    """The named attributes of a row, in order."""
    return {name: getattr(thing, name) for name in fields}


def show_rows(rows: Iterable[Row], columns: Sequence[str], *, as_json: bool, nothing: str) -> None:
    """A listing. columns: the fields that people see; `nothing`: the sentence for an empty list."""
    rows = list(rows)
    if as_json:
        show_json(rows)
    elif not rows:
        say(nothing)
    else:
        _table(rows, columns)


def show_one(row: Row, *, as_json: bool) -> None:
    """One thing with all its fields."""
    if as_json:
        show_json([row])
        return
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for name, value in row.items():
        table.add_row(Text(name, style="bold"), Text(_long(value)))
    console().print(table)


def show_json(rows: Iterable[Row]) -> None:
    """One object a line: ids and money as text, times as ISO 8601 in UTC."""
    for row in rows:
        sys.stdout.write(json.dumps(plain(row), ensure_ascii=False) + "\n")
    sys.stdout.flush()


def say(text: str = "") -> None:
    """A line for a person, on stdout."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def warn(text: str) -> None:
    """A line for a person, on stderr."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def console() -> Console:
    """Stdout, at most WIDTH columns wide; nothing is marked up that a stranger wrote."""
    from rich.console import Console

    columns = min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns) if sys.stdout.isatty() else WIDTH
    return Console(width=columns, markup=False, emoji=False, highlight=False)


def plain(value: Any) -> Any:
    """A value as JSON holds it."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")  # str would write 0E-9
    if isinstance(value, UUID):
        return str(value)
    return value.value if isinstance(value, Enum) else value


def when(moment: datetime | None, now: datetime | None = None) -> str:
    """`3m ago 15:04:05Z`, with the day when it is another one."""
    from fleetprompt.kernel import clock

    if moment is None:
        return EMPTY
    moment, now = moment.astimezone(UTC), now or clock.now()
    style = "%H:%M:%SZ" if moment.date() == now.date() else "%Y-%m-%d %H:%MZ"
    return f"{relative((now - moment).total_seconds())} {moment.strftime(style)}"


def relative(seconds: float) -> str:
    """`3m ago`, `in 2h`, `now`."""
    for unit, size in UNITS:
        count = int(abs(seconds) // size)
        if count:
            return f"{count}{unit} ago" if seconds > 0 else f"in {count}{unit}"
    return "now"


def _table(rows: Sequence[Row], columns: Sequence[str]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in columns:
        keep = name == "id"
        table.add_column(name, no_wrap=keep, overflow="fold", min_width=36 if keep else None)
    for row in rows:
        table.add_row(*(Text(_short(row[name])) for name in columns))
    console().print(table)


def harmless(text: str) -> str:
    """Without what moves a terminal's cursor or turns its text round: a stranger may have written it."""
    return CONTROLS.sub("\ufffd", text)


def _short(value: Any) -> str:
    if isinstance(value, datetime):
        return when(value)
    if value is None or value == "":
        return EMPTY
    if isinstance(value, Mapping | list | tuple):
        return harmless(json.dumps(plain(value), ensure_ascii=False))
    return harmless(str(plain(value)))


def _long(value: Any) -> str:
    if isinstance(value, Mapping | list) and value:
        return harmless(json.dumps(plain(value), ensure_ascii=False, indent=2))
    if isinstance(value, datetime):
        return f"{plain(value)} ({when(value).rsplit(' ', 1)[0]})"
    return _short(value)

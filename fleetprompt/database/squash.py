"""What a chain of migrations leaves, without its steps: the same tables, each made once, as it ends up.

Made from the migrations themselves. What is understood is merged into the table that it changes (a column, its
storage, the table's settings) or dropped (an UPDATE of what is still empty), and indexes follow their table; all else
stays as it is, in its order, and nothing that comes later is merged past it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

_WORDS: Final = re.compile(r"(\$\w*\$).*?\1|'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/|.", re.S)
_CREATE: Final = re.compile(r"(CREATE TABLE (?:IF NOT EXISTS )?(\w+)) \((.*)\)", re.S)
_ALTER: Final = re.compile(r"ALTER TABLE (\w+)\s+(.*)", re.S)
_INDEX: Final = re.compile(r"CREATE (?:UNIQUE )?INDEX (?:IF NOT EXISTS )?\w+ ON (\w+) .*", re.S)
_EMPTY: Final = re.compile(r"UPDATE (\w+) SET .*", re.S)
_HARMLESS: Final = re.compile(r"(?:CREATE|DROP) TRIGGER .*|CREATE (?:OR REPLACE )?FUNCTION .*", re.S)
_ADD: Final = re.compile(
    r"ADD COLUMN (IF NOT EXISTS )?(\w+) (\w+(?:\[\])?(?: DEFAULT (?:'[^']*'|\w+(?:\(\))?))?(?: NOT NULL)?)"
)
_SET: Final = re.compile(r"SET \(([^()]*)\)")
_STORAGE: Final = re.compile(r"ALTER COLUMN (\w+) SET STORAGE (\w+)")
_STORED: Final = re.compile(r"(TEXT|BYTEA|JSONB)(?= |$)")
_CONSTRAINT: Final = re.compile(r"(?:PRIMARY|UNIQUE|FOREIGN|CONSTRAINT|CHECK|EXCLUDE)\b")
_LIKE: Final = re.compile(r"(?:^|,)\s*LIKE\s")  # of another table as it is at that moment
_REVISION: Final = re.compile(r"(?:INSERT INTO|UPDATE) alembic_version .*?'(\w+)'.*", re.S)


def squashed(script: str) -> str:
    """A script of Alembic's that begins with an empty schema, shortened. Names are unquoted, as migrations write them."""
    chain = _Chain()
    for statement in _split(script, ";"):
        chain.take(statement)
    return "".join(f"{statement};\n" for statement in chain.rest())


@dataclass(slots=True)
class _Table:
    """A table that is being put together. head: up to its columns."""

    head: str
    columns: dict[str, str] = field(default_factory=dict)
    constraints: list[str] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    indexes: list[str] = field(default_factory=list)

    def change(self, action: str) -> bool:
        """Merge one action of an ALTER TABLE; False for one that has to be carried out."""
        if added := _ADD.fullmatch(action):
            return self._add(*added.groups())
        if chosen := _SET.fullmatch(action):
            self.settings.update(_pair(setting, "=") for setting in _split(chosen[1], ","))
            return True
        stored = _STORAGE.fullmatch(action)
        return stored is not None and self._store(stored[1], stored[2])

    def _add(self, if_missing: str | None, name: str, definition: str) -> bool:
        if name in self.columns:
            return if_missing is not None
        self.columns[name] = definition
        return True

    def _store(self, name: str, storage: str) -> bool:
        if name not in self.columns or " STORAGE " in self.columns[name]:
            return False
        self.columns[name], found = _STORED.subn(
            rf"\1 STORAGE {storage}", self.columns[name], count=1
        )  # of PostgreSQL 16 and later
        return found == 1

    def __iter__(self) -> Iterator[str]:
        lines = [*(" ".join(column) for column in self.columns.items()), *self.constraints]
        settings = ", ".join(f"{name} = {value}" for name, value in self.settings.items())
        yield (
            f"{self.head} (\n    "
            + ",\n    ".join(lines)
            + "\n)"
            + (f" WITH ({settings})" if settings else "")
        )
        yield from self.indexes


class _Chain:
    """The statements of a script, taken one after the other."""

    def __init__(self) -> None:
        self._done: list[_Table | list[str]] = []
        self._open: dict[str, _Table] = {}
        self._revision = ""

    def take(self, statement: str) -> None:
        """Merge it, or keep it as it is."""
        if stands := _REVISION.fullmatch(statement):
            self._revision = stands[1]
        elif (made := _CREATE.fullmatch(statement)) and not _LIKE.search(made[3]):
            self._create(statement, *made.groups())
        elif changed := _ALTER.fullmatch(statement):
            self._alter(statement, *changed.groups())
        elif (indexed := _INDEX.fullmatch(statement)) and indexed[1] in self._open:
            self._open[indexed[1]].indexes.append(statement)
        elif _HARMLESS.fullmatch(statement):
            self._done.append([statement])
        elif not ((emptied := _EMPTY.fullmatch(statement)) and emptied[1] in self._open):
            self._keep(statement)

    def rest(self) -> Iterator[str]:
        """What is left to be carried out."""
        for part in self._done:
            yield from part
        if self._revision:
            yield f"INSERT INTO alembic_version (version_num) VALUES ('{self._revision}')"  # noqa: S608

    def _create(self, statement: str, head: str, name: str, body: str) -> None:
        items = list(_split(body, ","))
        if not _is_balanced(body) or name in self._open:
            return self._keep(statement)
        table = self._open[name] = _Table(head)
        for item in items:
            if _CONSTRAINT.match(item):
                table.constraints.append(item)
            else:
                column, definition = _pair(item, " ")
                table.columns[column] = definition
        self._done.append(table)
        return None

    def _alter(self, statement: str, name: str, actions: str) -> None:
        """The actions that cannot be merged are carried out where they stand; so is whatever follows them."""
        pending = list(_split(actions, ","))
        while pending and name in self._open and self._open[name].change(pending[0]):
            pending.pop(0)
        if pending:
            self._keep(f"ALTER TABLE {name} " + ", ".join(pending))

    def _keep(self, statement: str) -> None:
        """It may do anything: fill a table, need a column as it is by now."""
        self._open.clear()
        self._done.append([statement])


def _split(text: str, mark: str) -> Iterator[str]:
    """The parts between the marks that stand outside quotes, bodies, comments and parentheses, none of them empty."""
    part, depth = "", 0
    for found in _WORDS.finditer(text):
        word = found[0]
        depth += (word == "(") - (word == ")")
        if word == mark and depth == 0:
            if part.strip():
                yield part.strip()
            part = ""
        elif not word.startswith(("--", "/*")):
            part += word
    if part.strip():
        yield part.strip()


def _is_balanced(text: str) -> bool:
    """Whether the text ends no parenthesis that it did not begin."""
    depth = 0
    for found in _WORDS.finditer(text):
        depth += (found[0] == "(") - (found[0] == ")")
        if depth < 0:
            return False
    return depth == 0


def _pair(text: str, mark: str) -> tuple[str, str]:
    first, _, second = text.partition(mark)
    return first.strip(), second.strip()

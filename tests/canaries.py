"""Canary secrets: each stands for one kind, is put through its door, and is searched for wherever something is written."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

from tests.house import House

TABLES = (
    "select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace"
    " where c.relkind in ('r', 'm', 'p') and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')"
    " order by 1"
)


@dataclass(slots=True)
class Canaries:
    """By kind. `said`: all that came out somewhere, by where."""

    values: dict[str, str] = field(default_factory=dict)
    said: dict[str, list[str]] = field(default_factory=dict)

    def put(self, kind: str, value: str) -> str:
        """One more to look for; returns it."""
        assert len(value) >= 12, "a shorter one is found by chance"
        assert value not in self.values.values()
        self.values[kind] = value
        return value

    def hear(self, where: str, what: object) -> None:
        """Something came out."""
        self.said.setdefault(where, []).append(what if isinstance(what, str) else repr(what))

    def found(self) -> list[tuple[str, str]]:
        """(kind, where) of each that came out."""
        return [(kind, where) for where, words in self.said.items() for kind in self.among("\n".join(words))]

    def among(self, text: str) -> Iterator[str]:
        """The kinds that stand in a text, in whichever spelling."""
        for kind, value in self.values.items():
            if any(spelt in text for spelt in spellings(value)):
                yield kind

    async def in_tables(self, house: House) -> list[tuple[str, str]]:
        """(kind, table) of each that is stored, in every schema and every column: text, JSON, arrays, bytes."""
        found = []
        for (table,) in await house.rows(TABLES):
            rows = await everything_of(house, table)
            found += [(kind, table) for kind in self.among("\n".join(rows))]
        return found


async def everything_of(house: House, table: str) -> list[str]:
    """Each row as text; bytes as hexadecimal digits. A tenant's tables are its own role's."""
    schema = table.partition(".")[0]
    connection = await house.database.connect_raw()
    try:
        if schema.startswith("org_"):
            await connection.execute(f"set role r_{schema}")
        return [row[0] for row in await connection.fetch(f"select to_jsonb(t)::text from {table} t")]
    finally:
        await connection.close()


def spellings(value: str) -> set[str]:
    """As it is, in JSON, in JSON in JSON, in an address, as hexadecimal digits, in base64."""
    once = json.dumps(value)[1:-1]
    return {
        value,
        once,
        json.dumps(once)[1:-1],
        quote(value, safe=""),
        value.encode().hex(),
        base64.b64encode(value.encode()).decode().rstrip("="),
    }

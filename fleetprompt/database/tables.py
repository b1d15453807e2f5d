"""What tables a schema has, read from the database itself, so that no list of them has to be kept."""

from __future__ import annotations

from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

import asyncpg

_TABLES = """
select c.relname as name,
    (select array_agg(a.attname::text order by a.attnum) from pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '') as columns,
    (select coalesce(array_agg(distinct p.relname::text), '{}') from pg_constraint k join pg_class p on p.oid = k.confrelid
        where k.conrelid = c.oid and k.contype = 'f' and p.relnamespace = c.relnamespace and p.oid <> c.oid) as parents
from pg_class c where c.relnamespace = to_regnamespace($1) and c.relkind in ('r', 'p') and not c.relispartition
order by c.relname
"""


@dataclass(frozen=True, slots=True)
class Table:
    """columns: those that hold data of their own, in order; generated ones follow from them."""

    schema: str
    name: str
    columns: tuple[str, ...]

    @property
    def sql(self) -> str:
        """Its quoted name."""
        return f'"{self.schema}"."{self.name}"'

    @property
    def columns_sql(self) -> str:
        """Its columns, quoted, with commas between."""
        return ", ".join(f'"{name}"' for name in self.columns)


async def tables_of(connection: asyncpg.Connection[Any], schema: str) -> list[Table]:
    """All tables of a schema, each after those that it refers to."""
    rows = {row["name"]: row for row in await connection.fetch(_TABLES, schema)}
    order = TopologicalSorter({name: row["parents"] for name, row in rows.items()}).static_order()
    return [Table(schema, name, tuple(rows[name]["columns"])) for name in order]

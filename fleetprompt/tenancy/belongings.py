"""Which rows of the registry are a tenant's, read from the database: a `tenant` column, or a reference to its row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from fleetprompt.database.tables import Table, tables_of
from fleetprompt.kernel.ids import TenantSlug

_REFERENCES = """
select c.relname as name, a.attname as "column" from pg_constraint k join pg_class c on c.oid = k.conrelid
    join pg_attribute a on a.attrelid = k.conrelid and a.attnum = k.conkey[1]
where k.contype = 'f' and k.confrelid = 'public.organizations'::regclass and cardinality(k.conkey) = 1
"""


@dataclass(frozen=True, slots=True)
class Belonging:
    """A table of the registry whose rows with `key` in `column` are the tenant's."""

    table: Table
    column: str
    key: str | UUID

    @property
    def where(self) -> str:
        """The condition; its only parameter is `key`."""
        return f'"{self.column}" = $1'


async def belongings(
    connection: asyncpg.Connection[Any], slug: TenantSlug, organization_id: UUID
) -> list[Belonging]:
    """Each table after those that it refers to; the organization's own row comes before all that refer to it."""
    references = {row["name"]: row["column"] for row in await connection.fetch(_REFERENCES)}
    found = []
    for table in await tables_of(connection, "public"):
        if table.name == "organizations":
            found.append(Belonging(table, "id", organization_id))
        elif table.name in references:
            found.append(Belonging(table, references[table.name], organization_id))
        elif "tenant" in table.columns:
            found.append(Belonging(table, "tenant", slug))
    return found

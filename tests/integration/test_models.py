"""The models say what the migrations made: columns, types, NULL, keys and references."""

from __future__ import annotations

import pytest
from sqlalchemy import (
    Constraint,
    ForeignKeyConstraint,
    MetaData,
    PrimaryKeyConstraint,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.sql.schema import ColumnCollectionConstraint

from fleetprompt.model import PublicBase, TenantBase
from tests.house import House

COLUMNS = """
select c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.atthasdef
from pg_attribute a join pg_class c on c.oid = a.attrelid
where c.relnamespace = $1::regnamespace and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
"""
KEYS = """
select c.relname::text, k.contype::text,
    (select string_agg(a.attname, ',' order by a.attname) from pg_attribute a
        where a.attrelid = k.conrelid and a.attnum = any(k.conkey)),
    case when k.contype = 'f' then (select relname::text from pg_class where oid = k.confrelid) end
from pg_constraint k join pg_class c on c.oid = k.conrelid
where k.connamespace = $1::regnamespace and k.contype in ('p', 'u', 'f')
"""
OF_NO_MODEL = {"alembic_version", "legal_move"}
FAMILIES = [("public", PublicBase.metadata), ("org_acme", TenantBase.metadata)]


def columns_of(metadata: MetaData) -> set[tuple[object, ...]]:
    dialect = PGDialect_asyncpg()  # type: ignore[no-untyped-call]
    return {
        (
            table.name,
            column.name,
            column.type.compile(dialect).lower().replace(", ", ","),
            not column.nullable,
            column.server_default is not None,
        )
        for table in metadata.tables.values()
        for column in table.columns
    }


def keys_of(metadata: MetaData) -> set[tuple[object, ...]]:
    found = set[tuple[object, ...]]()
    for table in metadata.tables.values():
        for constraint in table.constraints:
            names = ",".join(
                sorted(
                    column.name for column in table.columns if column.name in constraint_columns(constraint)
                )
            )
            match constraint:
                case PrimaryKeyConstraint():
                    found.add((table.name, "p", names, None))
                case UniqueConstraint():
                    found.add((table.name, "u", names, None))
                case ForeignKeyConstraint():
                    found.add((table.name, "f", names, constraint.referred_table.name))
    return found


def constraint_columns(constraint: Constraint) -> set[str]:
    return set(constraint.columns.keys()) if isinstance(constraint, ColumnCollectionConstraint) else set()


@pytest.mark.parametrize(("schema", "metadata"), FAMILIES, ids=["public", "tenant"])
async def test_models_and_migrations_agree_on_columns(house: House, schema: str, metadata: MetaData) -> None:
    rows = await house.rows(COLUMNS, schema)
    assert {tuple(row) for row in rows if row[0] not in OF_NO_MODEL} == columns_of(metadata)


@pytest.mark.parametrize(("schema", "metadata"), FAMILIES, ids=["public", "tenant"])
async def test_models_and_migrations_agree_on_keys(house: House, schema: str, metadata: MetaData) -> None:
    rows = await house.rows(KEYS, schema)
    assert {tuple(row) for row in rows if row[0] not in OF_NO_MODEL} == keys_of(metadata)

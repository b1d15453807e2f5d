"""The two families of tables and the column types they share."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, MetaData, Numeric, Text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.orm import DeclarativeBase

JsonObject = dict[str, Any]

COLUMN_TYPES = {
    UUID: PG_UUID(as_uuid=True),
    datetime: TIMESTAMP(timezone=True),
    JsonObject: JSONB(),
    str: Text(),
    int: BigInteger(),
    Decimal: Numeric(18, 9),
}


class PublicBase(DeclarativeBase):
    """A table of the registry, in schema `public`, always named with its schema."""

    metadata = MetaData(schema="public")
    type_annotation_map: ClassVar[dict[Any, Any]] = COLUMN_TYPES


class TenantBase(DeclarativeBase):
    """A table of one tenant, found by the transaction's search path alone, never by a schema's name."""

    metadata = MetaData()
    type_annotation_map: ClassVar[dict[Any, Any]] = COLUMN_TYPES

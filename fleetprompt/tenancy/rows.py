"""Entities of the hot path, read and written as plain rows: the session knows them as if it had loaded them itself.

What is read takes the place of what the session held of the same row, as with `populate_existing`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final, Generic, TypeVar, cast

from sqlalchemy import inspect
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import configure_mappers
from sqlalchemy.orm.attributes import instance_state

from fleetprompt.database.driver import Sql
from fleetprompt.model import TenantBase
from fleetprompt.model.payload import Payload, whole
from fleetprompt.tenancy.session import TenantSession

Entity = TypeVar("Entity", bound=TenantBase)


@cache
def names(entity: type[TenantBase]) -> tuple[str, ...]:
    """Of its columns, in order; its attributes are named alike."""
    return tuple(column.name for column in entity.__table__.columns)


def columns(entity: type[TenantBase], alias: str = "") -> str:
    """All of them as a select list."""
    table = alias or entity.__tablename__
    return ", ".join(f'{table}."{name}"' for name in names(entity))


class Rows(Generic[Entity]):
    """A statement whose result is rows of one entity. words: with `{columns}` where those are to stand."""

    __slots__ = ("entity", "sql")

    def __init__(self, entity: type[Entity], words: str) -> None:
        self.entity: Final = entity
        self.sql: Final = Sql(words.replace("{columns}", columns(entity)))

    async def all(self, session: TenantSession, values: Mapping[str, Any]) -> list[Entity]:
        """Each row, in order."""
        rows = await session.fetch(self.sql, values)
        return [adopt(session, self.entity, tuple(row)) for row in rows]

    async def first(self, session: TenantSession, values: Mapping[str, Any]) -> Entity | None:
        """The first row; None if there is none."""
        rows = await session.fetch(self.sql, values)
        return adopt(session, self.entity, tuple(rows[0])) if rows else None


@cache
def _by_id(entity: type[Entity]) -> Rows[Entity]:
    return Rows(entity, f"select {{columns}} from {entity.__tablename__} where id = :id")  # noqa: S608 - a table's name


async def get(session: TenantSession, entity: type[Entity], identity: Any) -> Entity | None:
    """As `session.get`: what the session holds already is not read again."""
    held: Entity | None = cast("Any", session.identity_map).get((entity, (identity,), None))
    return held if held is not None else await _by_id(entity).first(session, {"id": identity})


def adopt(session: TenantSession, entity: type[Entity], values: Sequence[Any]) -> Entity:
    """The entity of a row; values: of all its columns, in order."""
    row, identities = _read(entity, values), session.sync_session.identity_map
    identity = _identity(entity, row)
    held: Entity | None = identities.get(identity)
    if held is not None:
        refresh(held, row.items())
        return held
    made: Entity = _new_instance(entity)()
    made.__dict__.update(row)
    state = instance_state(made)  # as the toolkit's own loading does
    state.key, state.session_id = identity, session.sync_session.hash_key
    identities.add(state)
    return made


def _read(entity: type[TenantBase], values: Sequence[Any]) -> dict[str, Any]:
    row = dict(zip(names(entity), values, strict=True))
    for name in _payloads(entity):
        row[name] = whole(row[name])
    return row


def adopt_each(session: TenantSession, row: Sequence[Any], *entities: type[TenantBase]) -> list[Any]:
    """The entities of a joined row, their columns one after the other; None where the join found nothing."""
    found: list[Any] = []
    for entity in entities:
        width = len(names(entity))
        own, row = row[:width], row[width:]
        found.append(None if own[0] is None else adopt(session, entity, own))
    return found


@cache
def _new_instance(entity: type[Entity]) -> Callable[[], Entity]:
    """Makes one as loading does: without its constructor."""
    configure_mappers()  # a query does this otherwise
    return cast("Callable[[], Entity]", inspect(entity).class_manager.new_instance)


def refresh(row: TenantBase, values: Iterable[tuple[str, Any]]) -> None:
    """Take over what the database holds."""
    given, state = dict(values), instance_state(row)
    row.__dict__.update(given)
    for name in state.committed_state.keys() & given.keys() if state.committed_state else ():
        del state.committed_state[name]
    state.expired_attributes.difference_update(given)


@cache
def _keys(entity: type[TenantBase]) -> tuple[str, ...]:
    return tuple(column.name for column in inspect(entity).primary_key)


def _identity(entity: type[TenantBase], row: Mapping[str, Any]) -> tuple[Any, ...]:
    return entity, tuple(row[key] for key in _keys(entity)), None


@cache
def _payloads(entity: type[TenantBase]) -> tuple[str, ...]:
    return tuple(column.name for column in entity.__table__.columns if isinstance(column.type, Payload))


@cache
def _json_names(entity: type[TenantBase]) -> frozenset[str]:
    kinds = (JSONB, Payload)
    return frozenset(column.name for column in entity.__table__.columns if isinstance(column.type, kinds))


def written(entity: type[TenantBase], values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as the driver takes them for these columns: JSON as text, None as NULL."""
    texts = _json_names(entity)
    return {
        name: json.dumps(value) if name in texts and value is not None else value
        for name, value in values.items()
    }


@cache
def _insertion(entity: type[Entity], given: tuple[str, ...], tail: str) -> Rows[Entity]:
    into, places = ", ".join(f'"{name}"' for name in given), ", ".join(f":{name}" for name in given)
    statement = f"insert into {entity.__tablename__} ({into}) values ({places}) {tail} returning {{columns}}"  # noqa: S608 - names of the model
    return Rows(entity, statement)


async def insert(
    session: TenantSession, entity: type[Entity], values: Mapping[str, Any], tail: str = ""
) -> Entity | None:
    """The new row. tail: such as `on conflict (...) do nothing`, and None if there was one."""
    return await _insertion(entity, tuple(values), tail).first(session, written(entity, values))

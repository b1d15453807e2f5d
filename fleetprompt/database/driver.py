"""Statements of the hot path, sent to the driver as they are: a tenth of what the toolkit takes for each.

They run on the toolkit's own connection, in the transaction that it began, and fail as its statements fail.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any, Final

import asyncpg
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

_NAMED: Final = re.compile(r"(?<![:\w]):([a-z_]\w*)\b(?!:(?!:))")


class Sql:
    """A statement with named values, `:name`; made once, when its module is loaded.

    A value has the type that Postgres gives its place: a UUID, a datetime; for jsonb its JSON as text.
    """

    __slots__ = ("names", "text")

    def __init__(self, words: str) -> None:
        self.names: Final = tuple(dict.fromkeys(_NAMED.findall(words)))
        places = {name: f"${number}" for number, name in enumerate(self.names, 1)}
        self.text: Final = _NAMED.sub(lambda found: places[found[1]], words)


class _Refused(Exception):
    """What the driver said, as the toolkit wraps it: its cause is the driver's own error."""

    def __init__(self, error: Exception) -> None:
        super().__init__(f"{type(error)}: {error.args[0] if error.args else ''}")
        self.__cause__ = error
        self.sqlstate: str | None = getattr(error, "sqlstate", None)


class Driver:
    """The driver's side of a connection that is in use."""

    __slots__ = ("_connection", "_driver")

    def __init__(self, connection: AsyncConnection) -> None:
        assert connection.sync_connection is not None
        driver = connection.sync_connection.connection.driver_connection
        assert isinstance(driver, asyncpg.Connection)
        self._connection, self._driver = connection, driver

    async def fetch(self, statement: Sql, values: Mapping[str, Any]) -> list[asyncpg.Record]:
        """The rows. Raises DBAPIError, which quotes no value."""
        try:
            given = [values[name] for name in statement.names]
            rows: list[asyncpg.Record] = await self._driver.fetch(statement.text, *given)
            return rows
        except asyncio.CancelledError:
            await self._connection.invalidate()  # in the middle of an answer: nobody knows what it still says
            raise
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            is_lost = self._driver.is_closed()
            if is_lost:
                await self._connection.invalidate()
            is_constraint = isinstance(error, asyncpg.IntegrityConstraintViolationError)
            raise (IntegrityError if is_constraint else DBAPIError)(
                statement.text, None, _Refused(error), hide_parameters=True, connection_invalidated=is_lost
            ) from error

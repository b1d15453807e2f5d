"""A pooled connection spoken to directly: statements of the hot path at a tenth of what the toolkit takes for each.

Transactions are begun and ended here too, a round trip each with what stands at their edges. The toolkit may use the
same connection meanwhile, in the same transaction; errors are those that it would raise.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, cast
from uuid import UUID

import asyncpg
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

_NAMED: Final = re.compile(r"(?<![:\w]):([a-z_]\w*)\b(?!:(?!:))")
REFUSALS: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)


class Sql:
    """A statement with named values, `:name`; made once, when its module is loaded.

    A value has the type that Postgres gives its place: a UUID, a datetime; for jsonb its JSON as text.
    """

    __slots__ = ("names", "text")

    def __init__(self, words: str) -> None:
        self.names: Final = tuple(dict.fromkeys(_NAMED.findall(words)))
        places = {name: f"${number}" for number, name in enumerate(self.names, 1)}
        self.text: Final = _NAMED.sub(lambda found: places[found[1]], words)


def literal(value: UUID | int | str | None) -> str:
    """A value inside a script, which takes none beside it."""
    if value is None:
        return "null"
    if isinstance(value, int):
        return str(int(value))
    text = str(value)
    if "\0" in text:
        raise ValueError("no text of Postgres has a NUL")
    doubled = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{doubled}'"  # means the same whatever `standard_conforming_strings` says


class Prepared:
    """A statement for scripts, planned once a connection. words: with `$1`, `$2` for its values, of these kinds.

    Nothing of it may depend on whose place the transaction takes: tables are named with their schema.
    """

    __slots__ = ("made_by", "name")

    def __init__(self, name: str, kinds: str, words: str) -> None:
        self.name: Final = name
        self.made_by: Final = f"prepare {name}({kinds}) as {words}"
        _PREPARED.append(self)

    def __call__(self, *values: UUID | int | str | None) -> str:
        """The statement with its values, for a transaction that `Driver.begin` began."""
        return f"execute {self.name}({', '.join(map(literal, values))})"


_PREPARED: Final[list[Prepared]] = []
_MADE: Final = "prepared"
"""Where a pooled connection notes how many of them it has."""


class _Refused(Exception):
    """What the driver said, as the toolkit wraps it: its cause is the driver's own error."""

    def __init__(self, error: Exception) -> None:
        super().__init__(f"{type(error)}: {error.args[0] if error.args else ''}")
        self.__cause__ = error
        self.sqlstate: str | None = getattr(error, "sqlstate", None)


class Driver:
    """A connection in use by one task. Outside `begin` and `commit` each statement is a transaction of its own."""

    __slots__ = ("_adapted", "_driver", "_is_lost", "connection")

    def __init__(self, connection: AsyncConnection) -> None:
        """connection: from the pool, with no transaction begun; `release` gives it back."""
        assert connection.sync_connection is not None
        pooled = connection.sync_connection.connection
        driver = pooled.driver_connection
        assert isinstance(driver, asyncpg.Connection)
        self.connection, self._driver, self._is_lost = connection, driver, False
        self._adapted = cast("Any", pooled.dbapi_connection)
        self._adapted.autocommit = True  # the toolkit begins nothing: transactions are ours

    async def fetch(self, statement: Sql, values: Mapping[str, Any]) -> list[asyncpg.Record]:
        """The rows. Raises DBAPIError, which quotes no value."""
        given = [values[name] for name in statement.names]
        try:
            rows: list[asyncpg.Record] = await self._driver.fetch(statement.text, *given)
        except REFUSALS as error:
            raise self._wrapped(error, statement.text) from error
        except BaseException:
            self._is_lost = True  # in the middle of an answer: nobody knows what it still says
            raise
        return rows

    async def begin(self) -> None:
        """Begin a transaction."""
        assert self.connection.sync_connection is not None
        info = self.connection.sync_connection.info
        made = info.get(_MADE, 0)
        if made < len(_PREPARED):
            await self._prepare(*(one.made_by for one in _PREPARED[made:]))
            info[_MADE] = len(_PREPARED)
        await self._script("begin", "begin")

    async def _prepare(self, *statements: str) -> None:
        try:
            await self._script("prepare", *statements)
        except DBAPIError:
            self._is_lost = True  # the first of them may be there, which no rollback takes back
            raise

    async def commit(self, *last: str) -> None:
        """End the transaction, with these as its last statements. Raises DBAPIError when it cannot be committed."""
        said = await self._script("commit", *last, "commit")
        if said != "COMMIT":  # a statement failed, and whoever caught that went on: nothing of it was kept
            aborted = asyncpg.InFailedSQLTransactionError("the transaction is aborted")
            raise self._wrapped(aborted, "commit") from aborted

    async def roll_back(self) -> None:
        """Undo what was begun, if anything was. Raises nothing: a connection that cannot do it is given up."""
        if self._is_lost or not self._driver.is_in_transaction():
            return
        with contextlib.suppress(DBAPIError):
            await self._script("rollback", "rollback")

    async def release(self) -> None:
        """Give the connection back; closed, if it is in the middle of anything: its next user may be another tenant."""
        if self._is_lost or self.connection.invalidated or self._driver.is_in_transaction():
            await _to_the_end(self._discard)
        else:
            self._adapted.autocommit = False
            await self.connection.close()

    async def _discard(self) -> None:
        if not self.connection.invalidated:
            await self.connection.invalidate()
        await self.connection.close()

    async def _script(self, name: str, *statements: str) -> str:
        """name: what an error calls it, since values stand in its statements."""
        try:
            said: str = await self._driver.execute("; ".join(statements))
        except REFUSALS as error:
            raise self._wrapped(error, name) from error
        except BaseException:
            self._is_lost = True
            raise
        return said

    def _wrapped(self, error: Exception, words: str) -> DBAPIError:
        # The server's last word, read while nothing was asked, is an error of the driver's own at the next statement.
        is_closed = self._driver.is_closed() or isinstance(error, asyncpg.InternalClientError)
        self._is_lost = self._is_lost or is_closed
        is_constraint = isinstance(error, asyncpg.IntegrityConstraintViolationError)
        return (IntegrityError if is_constraint else DBAPIError)(
            words, None, _Refused(error), hide_parameters=True, connection_invalidated=is_closed
        )


_ENDING: Final[set[asyncio.Task[None]]] = set()


async def _to_the_end(act: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """It is done, even if whoever asked for it is canceled meanwhile."""
    task = asyncio.create_task(act(), name="connection given up")
    _ENDING.add(task)
    task.add_done_callback(_ENDING.discard)
    await asyncio.shield(task)

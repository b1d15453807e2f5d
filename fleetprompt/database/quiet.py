"""Migrating tables while others work on them: all locks at once or none, and nobody waits behind us for long.

A transaction at work may hold what a migration waits for, and wait for what the migration holds. Postgres ends such a
deadlock after `deadlock_timeout` (a second by default) at whoever notices it first, which would be the work. So a migration
locks the tables that it names in one statement, gives up well before that second, and tries again.

An autovacuum gives way only to who waits for longer than that second: the later tries do, and leave longer pauses.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Final, TypeVar

import asyncpg

from fleetprompt.kernel.clock import monotonic_s
from fleetprompt.kernel.errors import Unavailable

T = TypeVar("T")

WITHIN_S: Final = 0.4
"""Of waiting for all of the locks."""
PAUSE_S: Final = 0.3
"""Between two tries, about: whoever waited behind us goes on."""
LATER_WITHIN_S, LATER_PAUSE_S = 1.6, 2.0
PATIENCE_S: Final = 30.0
NAMEDATALEN: Final = 64
"""A name in Postgres is shorter, in bytes."""
BUSY: Final = (asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)
_within_s: ContextVar[float] = ContextVar("within_s", default=WITHIN_S)
# By their names: the catalogue has no index on the schema alone, and with a thousand tenants it is read for long.
_TABLES = (
    "select relname from pg_class where relname = any($2::name[]) and relnamespace = $1::regnamespace"
    " and relkind in ('r', 'p')"
)


async def patiently(attempt: Callable[[], Awaitable[T]], whose: str) -> T:
    """Make an attempt, a transaction, until it finds its tables free. Raises Unavailable; nothing is changed then."""
    began_s = monotonic_s()
    while True:
        is_later = monotonic_s() - began_s > PATIENCE_S / 2
        _within_s.set(LATER_WITHIN_S if is_later else WITHIN_S)
        try:
            return await attempt()
        except BUSY as error:
            if monotonic_s() - began_s > PATIENCE_S:
                raise Unavailable(
                    f"{whose} cannot be migrated: a long transaction holds a table.",
                    "End it (pg_stat_activity names it), then try again; nothing was changed.",
                ) from error
        await asyncio.sleep((LATER_PAUSE_S if is_later else PAUSE_S) * random.uniform(0.5, 1.5))


async def lock_tables(connection: asyncpg.Connection[Any], schema: str, script: str) -> None:
    """In a transaction, before the script: lock those tables of the schema that it names. Raises one of BUSY.

    What it reaches besides (a table behind a foreign key) is waited for as briefly.
    """
    words = sorted({word for word in re.findall(r"\w+", script) if len(word.encode()) < NAMEDATALEN})
    tables = [row["relname"] for row in await connection.fetch(_TABLES, schema, words)]
    milliseconds = int(_within_s.get() * 1000)
    await connection.execute(f"set local lock_timeout to {milliseconds}")
    if not tables:
        return
    random.shuffle(tables)  # whoever works takes them in another order; one of ours suits
    named = ", ".join(f'"{schema}"."{table}"' for table in tables)
    await connection.execute(f"set local statement_timeout to {milliseconds}")
    await connection.execute(f"lock table {named} in access exclusive mode")
    await connection.execute("set local statement_timeout to default")

"""How long a migration stands in line for tables that others use."""

from __future__ import annotations

import asyncpg
import pytest

from fleetprompt.database.quiet import lock_tables, patiently
from fleetprompt.kernel.errors import Unavailable
from tests.house import fresh_house

SECONDS = "select extract(epoch from current_setting($1)::interval)::float8"


async def test_later_tries_wait_for_long_enough_to_have_an_autovacuum_give_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fleetprompt.database.quiet.PATIENCE_S", 1.0)
    monkeypatch.setattr("fleetprompt.database.quiet.LATER_PAUSE_S", 0.1)
    waits_s = list[float]()
    async with fresh_house() as house:
        connection = await house.database.connect_raw()

        async def attempt() -> None:
            async with connection.transaction():
                await lock_tables(connection, "public", "worker")
                waits_s.append(await connection.fetchval(SECONDS, "lock_timeout"))
                raise asyncpg.LockNotAvailableError

        try:
            deadlock_s = await connection.fetchval(SECONDS, "deadlock_timeout")
            with pytest.raises(Unavailable):
                await patiently(attempt, "The registry")
        finally:
            await connection.close()
    assert waits_s[0] < deadlock_s < waits_s[-1]

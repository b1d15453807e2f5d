"""One listener process holds many connections, and hears through each; when it dies, another takes them all."""

from __future__ import annotations

import pytest

from bench.connections import crowd, listen
from tests import killing

MANY = 60  # more than one round of claims; the bench holds 500


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_one_listener_holds_many_connections_and_another_takes_them_over() -> None:
    async with crowd(MANY) as people:
        base = people.stage.base
        await base.rows("update public.connections set enabled = true")
        with killing.running(listen, base.url):
            await people.until_connected(MANY)
            for number, slug in enumerate(people.channels):
                if number % 10 == 0:
                    await people.hears(slug, f"@bot{number} hello")
            assert await base.value("select count(distinct holder) from public.connections") == 1
        people.stage.server.post(
            people.stage.dana, people.channels[next(iter(people.channels))], "@bot0 lost?"
        )
        with killing.running(listen, base.url):
            for number, slug in enumerate(people.channels):
                if number % 10 == 0:
                    await people.hears(slug, f"@bot{number} hello again")
            await people.until_connected(MANY)
            missed = await base.tenant_rows(
                next(iter(people.channels)), "select 1 from signals where payload->>'text' = '@bot0 lost?'"
            )
            assert len(missed) == 1

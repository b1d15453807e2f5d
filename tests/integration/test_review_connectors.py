"""A change of settings beside what is just being stored, and a lifecycle step whose end nobody knows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters.contract import Author, AuthorKind, Cursor, EventKind, Inbound, Place
from fleetprompt.connectors.ingest import Superseded, ingest
from fleetprompt.packages import lifecycle
from fleetprompt.packages.inline import run_now
from tests.connected import OPERATOR, Stage, connected_house
from tests.house import ACME


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with connected_house() as opened:
        yield opened


def said(number: int) -> Inbound:
    author = Author("dana-id", AuthorKind.PERSON, "dana")
    return Inbound(
        kind=EventKind.MESSAGE,
        event_key=f"post:p{number}",
        external_id=f"p{number}",
        author=author,
        place=Place("c1", "public", "", "support"),
        text="hello",
        sent_at_ms=1_700_000_000_000 + number,
        addressed=False,
        raw=b"hello",
        cursor=Cursor(f"after p{number}"),
    )


async def test_no_cursor_of_older_settings_outlives_the_change_that_forgot_it(stage: Stage) -> None:
    source = stage.source(await stage.adopt())
    await ingest(stage.house.tenancy, stage.house.registry, source, [said(1)])
    changing = await stage.base.database.connect_raw()
    try:
        await changing.execute("set role r_org_acme; set search_path to org_acme, pg_temp")
        async with changing.transaction():
            await changing.execute("select from installations for update")
            await changing.execute("update installations set generation = generation + 1")
            await changing.execute("delete from installation_cursors")
            storing = asyncio.create_task(
                ingest(stage.house.tenancy, stage.house.registry, source, [said(2)])
            )
            await asyncio.sleep(0.4)
        with pytest.raises(Superseded):
            await storing
    finally:
        await changing.close()
    assert await stage.base.tenant_rows(ACME, "select cursor from installation_cursors") == []
    assert len(await stage.base.tenant_rows(ACME, "select 1 from messages")) == 1


async def test_a_step_whose_end_is_unknown_may_be_asked_for_again(stage: Stage) -> None:
    """Lifecycle steps find what is done already, so there is nothing that a person would have to settle first."""
    await stage.adopt()
    asked = await lifecycle.disable(stage.house, ACME, "mattermost", actor=OPERATOR)
    for state in ("running", "outcome_unknown"):
        await stage.base.tenant_rows(ACME, f"update directives set state = '{state}'")
    await stage.base.rows("delete from public.job")
    again = await lifecycle.disable(stage.house, ACME, "mattermost", actor=OPERATOR)
    assert again.directive_id != asked.directive_id
    assert (await run_now(stage.house, ACME, again.directive_id, 20)).succeeded
    [row] = await stage.base.tenant_rows(ACME, "select state from installations")
    assert row["state"] == "disabled"

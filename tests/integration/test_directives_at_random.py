"""Whatever a far side does, in whatever order: nothing happens twice, and everything ends."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetprompt.kernel.ids import DirectiveId
from fleetprompt.runtime.directives import decide
from fleetprompt.runtime.registry import Registry
from tests.directives import PERSON, FarSide, ask, registry_for, run_out
from tests.house import ACME, House, fresh_house

ACTS = ("ok", "lost", "silent", "gone", "retry", "busy", "refuse", "raise")
LOOKS = ("truth", "unclear", "busy")
ROUNDS = 12

scripts = st.lists(st.lists(st.sampled_from(ACTS), max_size=6), min_size=1, max_size=3)
glances = st.lists(st.sampled_from(LOOKS), max_size=8)


@pytest.fixture(scope="module")
def stage() -> Iterator[tuple[asyncio.Runner, House]]:
    with asyncio.Runner() as runner:
        house = fresh_house()
        yield runner, runner.run(house.__aenter__())
        runner.run(house.__aexit__(None, None, None))


@settings(max_examples=25, deadline=None)
@given(acts=scripts, looks=glances)
def test_nothing_happens_twice_and_everything_ends(
    stage: tuple[asyncio.Runner, House], acts: list[list[str]], looks: list[str]
) -> None:
    runner, house = stage
    with tempfile.TemporaryDirectory() as directory:
        runner.run(_play(house, FarSide(Path(directory) / "ledger", looks=[*looks, "truth"]), acts))


async def _play(house: House, far: FarSide, acts: list[list[str]]) -> None:
    """With a person who retries what failed, and settles by looking what nobody could tell."""
    far.parts = {part: [*script, "ok"] for part, script in enumerate(acts)}
    registry = registry_for(far, max_failures=2)
    asked = await ask(house, registry, far.ledger.parent.name, arguments={"texts": ["x"] * len(acts)})
    for _ in range(ROUNDS * len(acts)):
        await run_out(house, registry)
        assert len(far.done()) == len(set(far.done())), "something happened twice"
        if await _settle(house, registry, asked.id, far) == "succeeded":
            break
    assert far.done() == [f"{asked.id}.{part}" for part in range(len(acts))]
    assert await house.value("select count(*) from public.job where state <> 'dead'") == 0


async def _settle(house: House, registry: Registry, directive_id: DirectiveId, far: FarSide) -> str:
    """Decide what there is to decide; the state in which it was found."""
    rows = await house.tenant_rows(ACME, "select state from directives where id = $1", directive_id)
    state = str(rows[0]["state"])
    assert state in ("succeeded", "failed", "outcome_unknown"), "it neither ended nor waits for a person"
    async with house.tenancy.session(ACME) as session:
        if state == "failed":
            await decide.retry(session, registry, directive_id, PERSON)
        elif state == "outcome_unknown":
            sent = await _unknown(house, directive_id) in far.done()
            await decide.resolve(session, registry, directive_id, PERSON, sent=sent)
    return state


async def _unknown(house: House, directive_id: DirectiveId) -> str:
    rows = await house.tenant_rows(
        ACME, "select key from effects where state = 'unknown' and directive_id = $1", directive_id
    )
    return str(rows[0]["key"])

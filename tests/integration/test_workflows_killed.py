"""kill -9 at every fault point of a workflow, its run and its steps: nothing is repeated, and nothing is left lying."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from fleetprompt.model.states import all_moves, fault_point
from fleetprompt.runtime.jobs import claim
from tests.directives import FarSide
from tests.house import ACME, GLOBEX, House, fresh_house
from tests.killing import dies
from tests.workflow_scenes import MANAGED, MOVES, SCENES, TOLD, Scene, play, play_in_process

MACHINES = ("workflow", "workflow_run", "workflow_step")
CUTS = [
    (scene, fault_point(*move, committed=done))
    for scene, moves in MOVES.items()
    for move in moves
    for done in (False, True)
]
CUTS += [
    ("plain", fault)
    for fault in (
        "job.claimed",  # the handler's
        "job.claimed:2",
        "job.claimed:4",
        "job.finished",
        "job.finished:3",
        "workflow_step.running>waiting!:2",
        "workflow_step.running>waiting!:4",
        "workflow_step.waiting>succeeded!:2",
        "workflow_step.waiting>succeeded:3",
        "directive.running>succeeded",
        "directive.running>succeeded!:2",
        "execution.running>succeeded",
        "execution.running>succeeded!",
        "effect.performed:2",
    )
]
CUTS += [("lost_answer", "effect.performed"), ("lost_answer", "workflow_step.waiting>succeeded!")]


def test_every_move_of_workflows_is_cut_off_somewhere() -> None:
    cut = [move for moves in MOVES.values() for move in moves]
    assert Counter(cut) == Counter(move for move in all_moves() if move[0] in MACHINES)


@pytest.mark.parametrize(("name", "fault"), CUTS, ids=[f"{scene}-{fault}" for scene, fault in CUTS])
async def test_a_run_that_was_killed_there_ends_as_if_nothing_had_happened(
    name: str, fault: str, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    async with fresh_house() as house:
        await dies(play_in_process, house.url, name, str(ledger), fault=fault)
        await house.rows("update public.job set lease_until = now() - interval '1 s' where state = 'running'")
        await claim.reap(house.database)
        await play(house, name, ledger)
        await has_ended_well(house, name, FarSide(ledger))


@pytest.mark.parametrize("name", [*SCENES, *MANAGED])
async def test_the_scene_ends_so_without_any_death(name: str, tmp_path: Path) -> None:
    async with fresh_house() as house:
        await play(house, name, tmp_path / "ledger")
        await has_ended_well(house, name, FarSide(tmp_path / "ledger"))


async def has_ended_well(house: House, name: str, far: FarSide) -> None:
    starts = name not in MANAGED or name == "paused"
    scene = SCENES.get(name, Scene([], effects=1))
    runs = await house.tenant_rows(ACME, "select state from workflow_runs")
    assert [row[0] for row in runs] == ([scene.ends] if starts else [])
    assert len(far.done()) == len(set(far.done())) == (scene.effects if starts else 0)
    told = await house.tenant_rows(ACME, "select 1 from signals where name = $1", TOLD)
    assert len(told) == scene.told
    for noun in ("started", "succeeded", "failed", "canceled"):
        again = await house.tenant_rows(
            ACME,
            "select count(*) from signals where name = $1 group by payload->>'run_id'",
            f"workflow.run.{noun}",
        )
        most = 2 if name in ("missing",) and noun == "failed" else 1
        assert all(row[0] <= most for row in again), noun
    assert len(await house.tenant_rows(ACME, "select 1 from executions")) == (name == "plain")
    assert (
        await house.value("select count(*) from public.job where state <> 'dead' and kind <> 'workflow.run'")
        == 0
    )
    await at_rest(house, scene)
    for table in ("signals", "workflows", "workflow_runs", "directives"):
        assert await house.tenant_rows(GLOBEX, f"select 1 from {table}") == []


async def at_rest(house: House, scene: Scene) -> None:
    """No job of a run is left; a timer of one that was ended meanwhile finds nothing to do."""
    left = await house.rows("select kind from public.job where state <> 'dead'")
    assert left == []
    if scene.ends == "succeeded":
        states = await house.tenant_rows(ACME, "select distinct state from workflow_steps")
        assert {row[0] for row in states} <= {"succeeded", "skipped"}

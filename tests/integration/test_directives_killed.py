"""kill -9 at every fault point of a directive and its effects: what happens outside happens once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from fleetprompt.model.states import all_moves, fault_point
from fleetprompt.runtime.jobs import claim
from tests import programs, scenes
from tests.directives import FarSide, signals, the_directive
from tests.house import GLOBEX, House, fresh_house
from tests.killing import dies
from tests.scenes import MOVES, SCENES

CUTS = [
    (scene, fault_point(*move, committed=done))
    for scene, moves in MOVES.items()
    for move in moves
    for done in (False, True)
]
CUTS += [
    (scene, place)
    for scene in ("plain", "found", "absent")
    for place in ("effect.recorded_sending", "effect.performed")
]
CUTS += [
    ("plain", "effect.performed:2"),
    ("plain", "effect.sending>sent!:2"),
    ("absent", "effect.performed:2"),
]


def test_every_move_of_directives_and_effects_is_cut_off_somewhere() -> None:
    cut = [move for moves in MOVES.values() for move in moves]
    assert Counter(cut) == Counter(move for move in all_moves() if move[0] in ("directive", "effect"))


@pytest.mark.parametrize(("name", "fault"), CUTS, ids=[f"{scene}-{fault}" for scene, fault in CUTS])
async def test_a_directive_that_was_killed_there_ends_as_if_nothing_had_happened(
    name: str, fault: str, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    async with fresh_house() as house:
        await dies(programs.play, house.url, name, str(ledger), fault=fault)
        await give_up_leases(house)
        await scenes.play(house, name, ledger)
        await has_ended_well(house, name, FarSide(ledger))


@pytest.mark.parametrize("name", SCENES)
async def test_the_scene_ends_so_without_any_death(name: str, tmp_path: Path) -> None:
    async with fresh_house() as house:
        await scenes.play(house, name, tmp_path / "ledger")
        await has_ended_well(house, name, FarSide(tmp_path / "ledger"))


async def give_up_leases(house: House) -> None:
    """Let the time pass after which a worker that says nothing counts as dead."""
    await house.rows("update public.job set lease_until = now() - interval '1 s' where state = 'running'")
    await claim.reap(house.database)


async def has_ended_well(house: House, name: str, far: FarSide) -> None:
    row, scene = await the_directive(house), SCENES[name]
    assert row["state"] == scene.ends
    assert sorted(far.done()) == [f"{row['id']}.{part}" for part in range(scene.effects)]
    assert await house.value("select count(*) from public.job") == 0
    names = await signals(house)
    assert names.count("succeeded") == (scene.ends == "succeeded" or name == "returned")
    assert await house.tenant_rows(GLOBEX, "select * from directives") == []

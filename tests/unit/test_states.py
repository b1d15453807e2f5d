"""The state machines: one table, believed by Python and by the database alike."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetprompt.kernel import faults
from fleetprompt.kernel.errors import Conflict
from fleetprompt.model.states import MACHINES, all_moves, check_move, fault_point
from tests.house import ACME, House, fresh_house

INITIAL = {
    "organization": {"creating"},
    "agent": {"active"},
    "installation": {"requested"},
    "execution": {"queued"},
    "directive": {"requested", "awaiting_approval"},
    "effect": {"planned"},
    "workflow": {"active"},
    "workflow_run": {"queued"},
    "workflow_step": {"pending"},
    "job": {"available"},
}
"""In which states a row is made."""

TABLES = {
    "organization": (
        "public.organizations",
        "id, slug, name, limits, state",
        "gen_random_uuid(), gen_random_uuid()::text, '', '{}', $1",
    ),
    "agent": (
        "agents",
        "id, name, purpose, instructions, tools, limits, policies, state",
        "gen_random_uuid(), gen_random_uuid()::text, '', '', '{}', '{}', '{}', $1",
    ),
    "installation": (
        "installations",
        "id, package, version, name, config, account, start_at_ms, generation, state",
        "gen_random_uuid(), gen_random_uuid()::text, '', '', '{}', '{}', 0, 0, $1",
    ),
    "execution": (
        "executions",
        "id, agent_id, idempotency_key, correlation_id, input, model, limits, state",
        "gen_random_uuid(), (select id from agents limit 1), gen_random_uuid()::text, gen_random_uuid(), '{}', '', '{}', $1",
    ),
    "directive": (
        "directives",
        "id, name, idempotency_key, arguments, arguments_digest, summary, actor_kind, actor_id, actor_name,"
        " correlation_id, state",
        "gen_random_uuid(), '', gen_random_uuid()::text, '{}', '', '', '', '', '', gen_random_uuid(), $1",
    ),
    "effect": (
        "effects",
        "id, directive_id, part, key, request, state",
        "gen_random_uuid(), (select id from directives limit 1), (select count(*) from effects),"
        " gen_random_uuid()::text, '{}', $1",
    ),
    "workflow": (
        "workflows",
        "id, name, version, signal_pattern, state",
        "gen_random_uuid(), gen_random_uuid()::text, 1, '', $1",
    ),
    "workflow_run": (
        "workflow_runs",
        "id, workflow_id, version, idempotency_key, signal_id, signal, correlation_id, depth, state",
        "gen_random_uuid(), (select workflow_id from workflow_versions), 1, gen_random_uuid()::text,"
        " gen_random_uuid(), '{}', gen_random_uuid(), 1, $1",
    ),
    "workflow_step": (
        "workflow_steps",
        "id, run_id, index, name, kind, state",
        "gen_random_uuid(), (select id from workflow_runs limit 1), (select count(*) from workflow_steps), '', '', $1",
    ),
    "job": ("public.job", "id, tenant, kind, args, state", "gen_random_uuid(), 'acme', '', '{}', $1"),
}
"""machine -> table, columns and values of a row in state $1."""

VERSION = "insert into workflow_versions (workflow_id, version, digest, definition) select id, 1, '', '{}' from workflows"


class Bench:
    """One connection for the service's tables, one for the tenant's, in a loop of their own."""

    def __init__(self, runner: asyncio.Runner, house: House) -> None:
        self._runner = runner
        self._public = runner.run(house.database.connect_raw())
        self._tenant = runner.run(house.database.connect_raw())
        self.ask("agent", f"set role r_org_{ACME}; set search_path to org_{ACME}")
        for machine in ("agent", "directive", "workflow"):
            self.make(machine, next(iter(INITIAL[machine])))
        self.ask("workflow", VERSION)
        self.make("workflow_run", "queued")

    def ask(self, machine: str, sql: str, *values: Any) -> Any:
        """Run a statement where the machine's table is."""
        connection = self._public if TABLES[machine][0].startswith("public.") else self._tenant
        return self._runner.run(
            connection.fetchval(sql, *values) if values else connection.execute(sql)  # several statements
        )

    def make(self, machine: str, state: str) -> Any:
        """A row in that state; its id."""
        table, columns, values = TABLES[machine]
        return self.ask(machine, f"insert into {table} ({columns}) values ({values}) returning id", state)

    def accepts(self, machine: str, row: Any, target: str) -> bool:
        """Whether the database lets the row go there; if so, it has gone."""
        with contextlib.suppress(asyncpg.CheckViolationError):
            self.ask(machine, f"update {TABLES[machine][0]} set state = $1 where id = $2", target, row)
            return True
        return False

    def close(self) -> None:
        for connection in (self._public, self._tenant):
            self._runner.run(connection.close())


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with asyncio.Runner() as runner:
        house = fresh_house()
        made = Bench(runner, runner.run(house.__aenter__()))
        yield made
        made.close()
        runner.run(house.__aexit__(None, None, None))


def allows(machine: str, source: str, target: str) -> bool:
    """What Python says of a move."""
    with contextlib.suppress(Conflict):
        check_move(machine, source, target)
        return True
    return False


def test_the_database_knows_the_same_moves(bench: Bench) -> None:
    text = bench.ask(
        "job",
        "select string_agg(machine||' '||source||' '||target, ',') from public.legal_move where $1",
        True,
    )
    assert sorted(tuple(move.split(" ")) for move in text.split(",")) == sorted(all_moves())


@pytest.mark.parametrize("machine", MACHINES)
def test_every_pair_of_states_is_judged_alike_by_python_and_by_the_trigger(
    machine: str, bench: Bench
) -> None:
    states = [*MACHINES[machine], "nonsense"]
    for source in MACHINES[machine]:
        for target in states:
            if source != target:  # no move at all
                row = bench.make(machine, source)
                assert bench.accepts(machine, row, target) == allows(machine, source, target), (
                    source,
                    target,
                )


@settings(max_examples=40, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("machine", MACHINES)
def test_a_random_walk_is_legal_in_python_and_in_the_database_at_each_step(
    machine: str, bench: Bench, data: st.DataObject
) -> None:
    state = data.draw(st.sampled_from(sorted(INITIAL[machine])))
    row = bench.make(machine, state)
    for target in data.draw(st.lists(st.sampled_from(sorted(MACHINES[machine])), max_size=12)):
        if target != state and bench.accepts(machine, row, target):
            assert allows(machine, state, target)
            state = target
        elif target != state:
            assert not allows(machine, state, target)
        table = TABLES[machine][0]
        assert bench.ask(machine, f"select state from {table} where id = $1", row) == state


@pytest.mark.parametrize("machine", MACHINES)
def test_every_state_is_reached_from_where_rows_are_made(machine: str) -> None:
    reached, waiting = set[str](), set(INITIAL[machine])
    while waiting:
        state = waiting.pop()
        reached.add(state)
        waiting |= MACHINES[machine][state] - reached
    assert reached == set(MACHINES[machine])


@pytest.mark.parametrize("machine", MACHINES)
def test_every_target_is_a_state_of_the_machine(machine: str) -> None:
    for targets in MACHINES[machine].values():
        assert targets <= set(MACHINES[machine])


@pytest.mark.parametrize("committed", [False, True])
def test_every_transition_has_its_fault_point(committed: bool) -> None:
    names = {fault_point(*move, committed=committed) for move in all_moves()}
    assert len(names) == len(all_moves())
    assert names <= faults.points()


def test_an_unknown_fault_point_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown fault point"):
        faults.arm("effect.planned>sent")
    faults.arm("")

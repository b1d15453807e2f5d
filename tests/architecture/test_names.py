"""Names that tie the house together: fault points, signals, kinds of jobs and directives."""

from __future__ import annotations

import ast
import base64
import importlib
import re
from collections import Counter
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from fleetprompt.composition import House
from fleetprompt.database.engine import Database
from fleetprompt.kernel import faults
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals.retention import retention_days
from fleetprompt.settings import Settings
from fleetprompt.tenancy import Tenancy
from tests.architecture.sources import PACKAGES, ROOT, calls, files, texts, tree

OURS = files(*PACKAGES)


@pytest.fixture(scope="module")
def registry() -> Registry:
    """The whole catalogue, as every process builds it; nothing connects."""
    settings = Settings(
        database_url=SecretStr("postgresql://nobody@localhost/nothing"),
        master_key=SecretStr(base64.b64encode(bytes(32)).decode()),
        order_desk_url="http://127.0.0.1:1",
    )
    database = Database(settings.database_url.get_secret_value() if settings.database_url else "")
    return House(settings, database, Tenancy(database), None).registry


def test_each_fault_point_is_somewhere_on_the_way_and_each_place_is_declared() -> None:
    """Those of the state machines are reached by the one function that moves."""
    for path in OURS:  # each module that owns some declares them when it is imported
        if any(called == "faults.declare" for called, _ in calls(path)):
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    reached = {
        node.args[0].value
        for path in OURS
        for called, node in calls(path)
        if called == "faults.reach" and isinstance(node.args[0], ast.Constant)
    }
    assert reached == {name for name in faults.points() if ">" not in name}


def test_each_catalogued_signal_is_emitted_somewhere(registry: Registry) -> None:
    """Its name stands in the code once more than in the catalogue: as it is, as a constant, or put together."""
    used = Counter(text for path in OURS for text in texts(path)) + Counter(constants())
    begun = tuple(beginnings())
    assert [name for name in registry.signals if used[name] < 2 and not name.startswith(begun)] == []


def constants() -> Iterator[str]:
    """The value of each constant, once for each further use of its name in its own file."""
    for path in OURS:
        names = {
            node.targets[0].id: node.value.value
            for node in tree(path).body
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        }
        loads = [node.id for node in ast.walk(tree(path)) if isinstance(node, ast.Name) and node.id in names]
        for name, times in Counter(loads).items():
            yield from [names[name]] * (times - 2)  # its assignment, its place in the catalogue


def beginnings() -> Iterator[str]:
    """How names begin that are put together: `agent.` of f"agent.{...}"."""
    for path in OURS:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
                beginning = str(node.values[0].value)
                if re.fullmatch(r"[a-z_.]+\.", beginning):
                    yield beginning


def test_each_signal_that_is_handled_is_catalogued(registry: Registry) -> None:
    assert set(registry.handlers) <= set(registry.signals)
    assert all(registry.handlers.values())


def test_each_class_of_retention_is_one_that_ends(registry: Registry) -> None:
    assert {kind.retention for kind in registry.signals.values()} <= set(retention_days(30))


def test_signals_are_facts_and_each_says_what_it_is_about(registry: Registry) -> None:
    for kind in registry.signals.values():
        assert kind.about.endswith("."), kind.name
        assert len(kind.name.split(".")) >= 2, kind.name
    for directive in registry.directives.values():
        assert directive.about.endswith("."), directive.name


def test_each_kind_of_job_that_is_asked_for_can_be_run(registry: Registry) -> None:
    asked = {
        node.args[0].value
        for path in OURS
        for called, node in calls(path)
        if called == "NewJob" and node.args and isinstance(node.args[0], ast.Constant)
    }
    assert asked <= set(registry.jobs)
    assert {"signal.handle", "directive.run", "job.died"} <= set(registry.jobs)

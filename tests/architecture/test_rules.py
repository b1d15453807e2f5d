"""The rules of the house that no linter knows."""

from __future__ import annotations

import ast
import importlib
import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from tests.architecture.sources import PACKAGES, ROOT, calls, files, name_of, texts, tree

MAX_LINES = 300
MAX_FUNCTION_LINES = 50
OURS = files(*PACKAGES)
ALL = files(*PACKAGES, "tests", "bench")


@pytest.mark.parametrize("name", PACKAGES)
def test_each_package_is_ours_and_not_its_namesake_on_an_index(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__file__ is not None
    assert Path(module.__file__).resolve() == ROOT / name / "__init__.py"


def test_the_house_can_never_be_uploaded_under_a_name_that_is_taken() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "Private :: Do Not Upload" in project["project"]["classifiers"]
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == list(PACKAGES)


def test_every_module_says_what_it_is_for() -> None:
    silent = [name_of(path) for path in ALL if tree(path).body and not ast.get_docstring(tree(path))]
    assert silent == []


def test_no_file_is_too_long_to_be_read() -> None:
    """A migration is one long statement, and never changes."""
    lengths = {name_of(path): path.read_text(encoding="utf-8").count("\n") for path in ALL}
    assert {name: n for name, n in lengths.items() if n > MAX_LINES and "/migrations/" not in name} == {}


def test_no_function_is_too_long_to_be_read() -> None:
    long = [
        f"{name_of(path)}:{node.lineno} {node.name}"
        for path in OURS
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= MAX_FUNCTION_LINES
    ]
    assert long == []


def test_no_room_is_called_after_nothing() -> None:
    vague = re.compile(r"(^|_)(utils?|helpers?|managers?|misc|common)(_|\.|$)")
    assert [name_of(path) for path in ALL if vague.search(path.stem) or vague.search(path.parent.name)] == []


CALENDAR = {"datetime.now", "datetime.utcnow", "datetime.datetime.now", "datetime.datetime.utcnow",
            "date.today", "datetime.date.today", "time.time", "time.time_ns"}  # fmt: skip


def test_the_clock_alone_reads_the_calendar() -> None:
    """An adapter knows nothing of ours: its clock is an argument, with one default. The sandbox is another world."""
    readers = Counter(
        name_of(path)
        for path in OURS
        if "/sandbox/" not in name_of(path)
        for called, _ in calls(path)
        if called in CALENDAR
    )
    del readers["fleetprompt/kernel/clock.py"]
    assert {name: n for name, n in readers.items() if n > 1 or not name.startswith("adapters/")} == {}


def test_engines_and_sessions_are_opened_in_two_rooms_alone() -> None:
    openers = {"create_async_engine", "create_engine", "AsyncSession", "TenantSession", "asyncpg.connect",
               "asyncpg.create_pool", "async_sessionmaker", "sessionmaker"}  # fmt: skip
    found = {name_of(path) for path in OURS for called, _ in calls(path) if called in openers}
    rooms = ("fleetprompt/database/", "fleetprompt/tenancy/")
    assert {name for name in found if not name.startswith(rooms)} == set()


def test_nobody_sets_a_role_or_a_path_beyond_the_transaction() -> None:
    """A pooled connection would carry it to another tenant."""
    bare = re.compile(
        r"(?<!local )\bset (role|search_path|session)\b|set_config\([^)]*false\)", re.IGNORECASE
    )
    strings = [
        (name_of(path), text)
        for path in OURS
        if "/migrations/" not in name_of(path)  # there a function keeps its own path
        for text in set(texts(path)) - documentation(path)
    ]
    assert [name for name, text in strings if bare.search(text) and "reset role" not in text] == []


def documentation(path: Path) -> set[str]:
    """Strings that stand for themselves."""
    return {
        str(node.value.value)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


def test_no_vendor_is_named_below_the_connectors() -> None:
    rooms = ("runtime", "kernel", "model", "tenancy", "database")
    vendor = re.compile(r"mattermost|proton", re.IGNORECASE)
    named = [
        name_of(path)
        for path in files(*[f"fleetprompt/{room}" for room in rooms])
        if vendor.search(path.read_text())
    ]
    assert named == []


def test_configuration_is_data_only() -> None:
    assert files("config") == ()

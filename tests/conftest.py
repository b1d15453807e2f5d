"""The slow tests begin first. None may leave a secret in its database or in what it printed."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.database import before_drop
from tests.leaks import SecretFound, search_tables, search_text

before_drop(search_tables)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Otherwise one worker is left with them at the end, and the others wait for it."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Whatever the test wrote to its log, its output or its errors is searched."""
    report = yield
    if report.passed:
        try:
            search_text("\n".join(text for _, text in report.sections), f"the output of {item.nodeid}")
        except SecretFound as error:
            report.outcome, report.longrepr = "failed", str(error)
    return report

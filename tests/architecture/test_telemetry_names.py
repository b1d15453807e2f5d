"""What an operator is promised to be told is told: no event and no metric that nothing emits."""

from __future__ import annotations

import ast

import pytest

from fleetprompt.telemetry import events, metrics
from tests.architecture.sources import PACKAGES, files, tree

CATALOGUES = ("telemetry/events.py", "telemetry/metrics.py")
USED = {
    node.attr if isinstance(node, ast.Attribute) else node.id
    for path in files(*PACKAGES)
    if not path.as_posix().endswith(CATALOGUES)
    for node in ast.walk(tree(path))
    if isinstance(node, ast.Attribute | ast.Name)
}


@pytest.mark.parametrize(
    "name", [key for key, value in vars(events).items() if key.isupper() and isinstance(value, str)]
)
def test_each_event_is_emitted_unless_its_issue_is_still_to_come(name: str) -> None:
    assert (name in USED) is (getattr(events, name) not in events.LATER)


@pytest.mark.parametrize(
    "name", [key for key, value in vars(metrics).items() if hasattr(value, "_labelnames")]
)
def test_each_metric_is_counted_somewhere(name: str) -> None:
    assert name in USED

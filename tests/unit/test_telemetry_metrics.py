"""The catalogue of metrics."""

from __future__ import annotations

from prometheus_client import Counter
from prometheus_client.parser import text_string_to_metric_families

from fleetprompt.telemetry import metrics

BOUNDED_LABELS = {
    "org",
    "name",
    "state",
    "model",
    "direction",
    "outcome",
    "kind",
    "connector",
    "limit",
    "method",
    "status",
}


def test_no_label_can_grow_without_bounds() -> None:
    declared = [value for value in vars(metrics).values() if hasattr(value, "_labelnames")]
    assert len(declared) >= 16
    for metric in declared:
        assert set(metric._labelnames) <= BOUNDED_LABELS, metric


def test_each_name_is_ours_and_each_metric_is_rendered() -> None:
    metrics.SIGNALS_EMITTED.labels("acme", "chat.message.received").inc()
    metrics.JOB_WAIT_SECONDS.labels("deliver").observe(0.2)
    families = {family.name: family for family in text_string_to_metric_families(metrics.rendered().decode())}
    assert all(name.startswith("fleetprompt_") for name in families)
    sample = next(s for s in families["fleetprompt_signals_emitted"].samples if s.labels.get("org") == "acme")
    assert sample.name == "fleetprompt_signals_emitted_total"
    assert sample.value >= 1


def test_ours_are_not_in_the_default_registry() -> None:
    assert isinstance(metrics.JOBS, Counter)
    from prometheus_client import REGISTRY

    assert "fleetprompt_jobs" not in {family.name for family in REGISTRY.collect()}

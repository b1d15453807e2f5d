"""Every metric we export, in one place. Labels are bounded: names of our catalogues, states, organizations; never ids."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

REGISTRY: Final = CollectorRegistry()
CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


def _counter(name: str, help_text: str, *labels: str) -> Counter:
    return Counter(f"fleetprompt_{name}", help_text, labels, registry=REGISTRY)


def _histogram(name: str, help_text: str, *labels: str) -> Histogram:
    return Histogram(f"fleetprompt_{name}", help_text, labels, buckets=SECONDS, registry=REGISTRY)


SIGNALS_EMITTED: Final = _counter("signals_emitted", "Signals stored, by name", "org", "name")
SIGNALS_REPEATED: Final = _counter("signals_repeated", "Signals that were there already", "org", "name")
DIRECTIVES: Final = _counter("directives", "Directives that came into a state", "org", "name", "state")
EXECUTIONS: Final = _counter("executions", "Executions that came into a state", "org", "state")
EXECUTION_SECONDS: Final = _histogram("execution_seconds", "From request to end", "org", "state")
WORKFLOW_RUNS: Final = _counter("workflow_runs", "Runs of workflows that ended, by state", "org", "state")
MODEL_CALLS: Final = _counter("model_calls", "Calls of a model", "org", "model", "outcome")
MODEL_CALL_SECONDS: Final = _histogram("model_call_seconds", "Duration of one call", "model")
MODEL_TOKENS: Final = _counter(
    "model_tokens", "Tokens, by direction: input or output", "org", "model", "direction"
)
MODEL_COST_USD: Final = _counter("model_cost_usd", "Known cost of model calls", "org", "model")
JOBS: Final = _counter("jobs", "Jobs that ended an attempt", "kind", "outcome")
JOB_WAIT_SECONDS: Final = _histogram("job_wait_seconds", "From due to claimed", "kind")
JOB_RUN_SECONDS: Final = _histogram("job_run_seconds", "From claimed to finished", "kind")
MESSAGES_RECEIVED: Final = _counter(
    "messages_received", "Inbound messages, by what became of them", "org", "connector", "outcome"
)
MESSAGES_SENT: Final = _counter(
    "messages_sent", "Outbound effects, by outcome", "org", "connector", "outcome"
)
RATE_LIMIT_HITS: Final = _counter(
    "rate_limit_hits", "Requests held back, by whose limit", "org", "connector", "limit"
)
JOBS_QUEUED: Final = Gauge(
    "fleetprompt_jobs_queued",
    "Jobs that are there now; dead ones are dead letters",
    ("state",),
    registry=REGISTRY,
)
JOB_OLDEST_SECONDS: Final = Gauge(
    "fleetprompt_job_oldest_seconds", "How long the oldest due job has been waiting", registry=REGISTRY
)
MESSAGES_UNANSWERED: Final = Gauge(
    "fleetprompt_messages_unanswered", "Messages that wait for an answer", ("org",), registry=REGISTRY
)
MESSAGE_OLDEST_SECONDS: Final = Gauge(
    "fleetprompt_message_oldest_seconds",
    "How long the oldest of them has been waiting, by the message's own time",
    ("org",),
    registry=REGISTRY,
)
BROKER_UP: Final = Gauge(
    "fleetprompt_broker_up",
    "Whether this process has the broker of FLEETPROMPT_BROKER_URL; without one, 0",
    registry=REGISTRY,
)
CONNECTIONS: Final = Gauge(
    "fleetprompt_connections",
    "Installations by state: listening (a listener holds it), waiting (none does), disabled",
    ("org", "connector", "state"),
    registry=REGISTRY,
)
WEB_REQUESTS: Final = _counter("web_requests", "Answers of the web process", "method", "status")


def rendered() -> bytes:
    """All metrics in the text format of Prometheus; its type is CONTENT_TYPE."""
    return generate_latest(REGISTRY)

"""A trace as lines of text, for a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

from fleetprompt.runtime.trace import Node, Trace

KINDS: Final = {
    "model_call": "model",
    "tool_call": "tool",
    "workflow_run": "workflow",
    "workflow_step": "step",
}
WITH_ERROR: Final = ("execution", "directive", "effect", "workflow_run", "workflow_step")
WITH_ID: Final = ("execution", "directive", "workflow_run")


def trace_lines(trace: Trace) -> list[str]:
    """The tree, then what it came to."""
    lines = [f"trace {trace.correlation_id} of {trace.tenant}"]
    lines += [line for root in trace.roots for line in _node_lines(root, "", "")]
    lines += [f"job {node.name} {node.state}, attempt {node.facts['attempt']}{_error(node.facts['last_error'])}" for node in trace.jobs]  # fmt: skip
    return [*lines, _total(trace)]


def duration(ms: int | None) -> str:
    """`12 ms`, `3.4 s`, `5 min`; empty for None."""
    if ms is None:
        return ""
    if ms < 1000:
        return f"{ms} ms"
    return f"{ms / 1000:.1f} s" if ms < 120_000 else f"{ms / 60_000:.0f} min"


def cost(usd: Decimal | None) -> str:
    """`$0.0012`; nobody's price is no zero."""
    if usd is None:
        return "cost unknown"
    return f"${usd:.4f}".rstrip("0").rstrip(".") if usd else "$0"


def _node_lines(node: Node, lead: str, below: str) -> Iterable[str]:
    yield lead + _line(node)
    for child in node.children:
        is_last = child is node.children[-1]
        yield from _node_lines(
            child, below + ("└─ " if is_last else "├─ "), below + ("   " if is_last else "│  ")
        )


def _line(node: Node) -> str:
    what = f"{KINDS.get(node.kind, node.kind)} {node.name}"
    parts = [part for part in (what, node.state, duration(node.duration_ms), *_facts(node)) if part]
    return "  ".join(parts)


def _facts(node: Node) -> Iterable[str]:
    facts = node.facts
    if node.kind == "signal":
        yield f"by {facts['actor_kind']} {facts['actor_name'] or facts['actor_id']}"
        yield f"at {node.began_at:%H:%M:%S.%f}"[:-3]
    if node.kind == "execution":
        steps = "1 step" if facts["steps"] == 1 else f"{facts['steps']} steps"
        yield f"{steps}, {_tokens(facts)}, {cost(facts['cost_usd'])}"
    if node.kind == "model_call" and node.state == "answered":
        yield f"{_tokens(facts)}, {cost(facts['cost_usd'])}"
    if node.kind == "directive":
        yield from _attempts(facts)
    if node.kind == "effect":
        yield from _sent(facts)
    if node.kind == "workflow_run":
        yield f"version {facts['version']}" + (f", depth {facts['depth']}" if facts["depth"] > 1 else "")
    why = facts.get("error") if node.kind in WITH_ERROR else facts.get("refusal")
    if why:
        yield f"({why})"
    yield str(node.id) if node.kind in WITH_ID else ""


def _attempts(facts: dict[str, Any]) -> Iterable[str]:
    if facts["attempt"] > 1:
        yield f"attempt {facts['attempt']}"
    if facts["approved_by"]:
        yield f"approved by {facts['approved_by']}"
    elif facts["approval_reason"]:
        yield "needs approval"


def _sent(facts: dict[str, Any]) -> Iterable[str]:
    receipt = facts["receipt"] or {}
    if facts["tries"] > 1:
        yield f"{facts['tries']} tries"
    if receipt.get("external_id"):
        yield f"-> {receipt['external_id']}"
    if receipt.get("found"):
        yield "(found, not repeated)"


def _tokens(facts: dict[str, Any]) -> str:
    return f"{facts['input_tokens'] or 0}+{facts['output_tokens'] or 0} tokens"


def _error(error: str | None) -> str:
    return f" ({error})" if error else ""


def _total(trace: Trace) -> str:
    used = f"{trace.input_tokens}+{trace.output_tokens} tokens"
    return f"in all {duration(trace.duration_ms)}, {used}, {cost(trace.cost_usd)}"

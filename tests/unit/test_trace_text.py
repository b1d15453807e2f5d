"""A trace as a person reads it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.runtime.trace import Node, Trace, as_json, walk
from fleetprompt.runtime.trace_text import cost, duration, trace_lines

BEGAN = datetime(2026, 11, 21, 15, 4, 5, 250_000, tzinfo=UTC)


def node(
    kind: str, number: int, name: str, state: str, took_ms: int | None, *children: Node, **facts: Any
) -> Node:
    ended_at = None if took_ms is None else BEGAN + timedelta(milliseconds=took_ms)
    return Node(kind, UUID(int=number), name, state, BEGAN, ended_at, facts, list(children))


def played() -> Trace:
    usage = {"input_tokens": 1200, "output_tokens": 34, "cost_usd": Decimal("0.001230000")}
    effect = node("effect", 5, "key.0", "sent", 300, part=0, tries=2, error=None, receipt={"external_id": "post9", "found": True})  # fmt: skip
    directive = node("directive", 4, "mattermost.post.create", "succeeded", 450, effect, attempt=2, approval_reason=None, approved_by="human:cli:eve", error=None)  # fmt: skip
    call = node("model_call", 3, "openai:gpt-5", "answered", None, step=0, latency_ms=2100, **usage)
    run = node("execution", 2, "fleet", "succeeded", 3000, call, directive, steps=1, error=None, **usage)
    root = node("signal", 1, "chat.message.received", "", 0, run, actor_kind="human", actor_id="u1", actor_name="dana")  # fmt: skip
    return Trace(TenantSlug("acme"), UUID(int=9), [root], [], 3450, usage["cost_usd"], 1200, 34)  # type: ignore[arg-type]


def test_each_thing_hangs_below_what_led_to_it_with_how_long_it_took_and_what_it_cost() -> None:
    assert trace_lines(played()) == [
        f"trace {UUID(int=9)} of acme",
        "signal chat.message.received  by human dana  at 15:04:05.250",
        f"└─ execution fleet  succeeded  3.0 s  1 step, 1200+34 tokens, $0.0012  {UUID(int=2)}",
        "   ├─ model openai:gpt-5  answered  2.1 s  1200+34 tokens, $0.0012",
        f"   └─ directive mattermost.post.create  succeeded  450 ms  attempt 2  approved by human:cli:eve  {UUID(int=4)}",
        "      └─ effect key.0  sent  300 ms  2 tries  -> post9  (found, not repeated)",
        "in all 3.5 s, 1200+34 tokens, $0.0012",
    ]


def test_a_failure_says_why_and_an_unfinished_job_is_named() -> None:
    failed = node("directive", 4, "orders.hold", "failed", 10, attempt=1, approval_reason=None, approved_by=None, error="The order is shipped.")  # fmt: skip
    dead = node("job", 6, "directive.run", "dead", None, attempt=8, last_error="it broke")
    lines = trace_lines(replace(played(), roots=[failed], jobs=[dead], cost_usd=None))
    assert "(The order is shipped.)" in lines[1]
    assert lines[2] == "job directive.run dead, attempt 8 (it broke)"
    assert lines[-1].endswith("cost unknown")


def test_as_json_every_node_has_its_duration_and_its_facts() -> None:
    [root] = as_json(played())["roots"]
    [run] = root["children"]
    assert (root["duration_ms"], run["duration_ms"], run["steps"]) == (None, 3000, 1)
    assert run["children"][0]["duration_ms"] == 2100
    assert [one.kind for one in walk(played().roots)] == [
        "signal",
        "execution",
        "model_call",
        "directive",
        "effect",
    ]


@pytest.mark.parametrize(
    ("ms", "text"),
    [(None, ""), (0, "0 ms"), (999, "999 ms"), (1000, "1.0 s"), (119_940, "119.9 s"), (120_000, "2 min")],
)
def test_durations_are_read_at_a_glance(ms: int | None, text: str) -> None:
    assert duration(ms) == text


@pytest.mark.parametrize(
    ("usd", "text"),
    [(None, "cost unknown"), (Decimal("0E-9"), "$0"), (Decimal("0.5"), "$0.5"), (Decimal("12"), "$12")],
)
def test_an_unknown_price_is_no_zero(usd: Decimal | None, text: str) -> None:
    assert cost(usd) == text

"""Definitions: what is accepted, and where each fault is said to be."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from fleetprompt.kernel.errors import InvalidInput
from fleetprompt.runtime.directives import DirectiveType
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.workflows.check import check
from fleetprompt.runtime.workflows.definition import MAX_BYTES, Definition, parse, read
from fleetprompt.runtime.workflows.match import fits
from fleetprompt.runtime.workflows.register import register
from tests.readme import section

GOOD: dict[str, Any] = {
    "name": "late-orders",
    "on": "thing.happened",
    "when": {"signal.payload.kind": "late", "signal.payload.text": {"contains": "order"}},
    "steps": [
        {"name": "think", "agent": "fleet", "input": "Sum up: {{signal.payload.text}}"},
        {"name": "rest", "wait": 60, "when": {"steps.think.result.text": {"contains": "later"}}},
        {"name": "post", "directive": "far.post", "params": {"text": "{{steps.think.result.text}}", "number": "{{signal.payload.n}}"}},
        {"name": "tell", "emit": "tenant.order.noted", "payload": {"by": ["{{signal.actor_name}}"]}},
    ],
}  # fmt: skip


class Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str = Field(min_length=1, max_length=20)
    number: int = 0


@pytest.fixture(scope="module")
def registry() -> Registry:
    made = Registry()
    made.add_signal("thing.happened", "Something happened.")
    register(made)
    made.add_directive(DirectiveType("far.post", "Posts.", Arguments, None))  # type: ignore[arg-type]
    return made


def changed(path: str, value: Any) -> dict[str, Any]:
    """The good one with another value at `steps.0.name`; None takes the key away."""
    made = copy.deepcopy(GOOD)
    *way, last = [int(key) if key.isdecimal() else key for key in path.split("/")]
    inner: Any = made
    for key in way:
        inner = inner[key]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return made


def test_a_good_one_is_accepted_and_stored_as_it_was_given(registry: Registry) -> None:
    definition = parse(json.dumps(GOOD).encode())
    check(registry, definition)
    assert [step.kind for step in definition.steps] == ["agent", "wait", "directive", "emit"]
    again = Definition.model_validate(definition.stored())
    assert again.digest() == definition.digest()
    assert again == definition


def test_its_digest_is_that_of_its_content() -> None:
    same = dict(reversed(GOOD.items()))
    assert read(same).digest() == read(GOOD).digest() == read({**GOOD, "version": 7}).digest()
    assert read(changed("steps/1/wait", 61)).digest() != read(GOOD).digest()


FAULTS = [
    ("name", "", "name: A workflow's name has 1 to 60"),
    ("name", "a\nb", "name: "),
    ("name", None, "name: Field required"),
    ("on", "thing.*.x", "on: write a signal's name"),
    ("on", "*", "on: write a signal's name"),
    ("on", ".*", "on: write a signal's name"),
    ("on", "thing.hapened", "on: there is no signal 'thing.hapened'. Did you mean: thing.happened?"),
    ("on", "thang.*", "on: there is no signal"),
    ("version", 0, "version: "),
    ("code", "import os", "code: Extra inputs are not permitted"),
    ("when", {"payload.text": "x"}, "when.payload.text: 'payload.text' is no path"),
    ("when", {"signal.payload.x": {"matches": ".*"}}, "when.signal.payload.x.matches: Extra inputs"),
    ("when", {"signal.payload.x": ["a"]}, "when.signal.payload.x: a list is no condition"),
    ("when", {"steps.think.result.text": "x"}, "when.steps.think.result.text: no step before this one"),
    ("steps", [], "steps: List should have at least 1 item"),
    ("steps", [{"name": f"s{n}", "wait": 1} for n in range(51)], "steps: List should have at most 50 items"),
    ("steps/0/name", "Think", "steps[0].name: a step's name is a small letter"),
    ("steps/1/name", "think", "steps: two steps are called think"),
    ("steps/0/agent", None, "steps[0]: a step has exactly one of directive, agent, wait, emit"),
    ("steps/0/wait", 5, "steps[0]: a step has exactly one of"),
    ("steps/0/input", None, "steps[0]: a step with agent has input too"),
    ("steps/0/input", " ", "steps[0]: a step with agent has input too"),
    ("steps/0/params", {}, "steps[0]: params means nothing in a step with agent"),
    ("steps/0/input", "{{signal.payload}}", "steps[0].input: 'signal.payload' is no path"),
    ("steps/0/input", "{{steps.post.result.id}}", "steps[0].input: no step before this one is called 'post'"),
    ("steps/0/input", "{{steps.think.result.text}}", "steps[0].input: no step before this one is called 'think'"),
    ("steps/1/wait", 0, "steps[1].wait: Input should be greater than 0"),
    ("steps/1/wait", "60", "steps[1].wait: Input should be a valid number"),
    ("steps/1/wait", 10**9, "steps[1].wait: Input should be less than"),
    ("steps/1/when", {"steps.post.result.id": 1}, "steps[1].when.steps.post.result.id: no step before"),
    ("steps/2/directive", "far.past", "steps[2].directive: there is no directive 'far.past'. Did you mean: far.post?"),
    ("steps/2/params", {"txt": "x"}, "steps[2].params.txt: far.post takes no 'txt'. Did you mean: text?"),
    ("steps/2/params", {"number": 1}, "steps[2].params: far.post needs text"),
    ("steps/2/params", {"text": "x", "number": "many"}, "steps[2].params.number: Input should be a valid integer"),
    ("steps/2/params", {"text": "x" * 21}, "steps[2].params.text: String should have at most 20"),
    ("steps/2/params", {"text": "{{x}}"}, "steps[2].params.text: 'x' is no path"),
    ("steps/2/approval", "never", "steps[2].approval: Input should be 'ask' or 'auto'"),
    ("steps/3/emit", "chat.message.received", "steps[3].emit: a workflow's own signal is called tenant.something"),
    ("steps/3/emit", "tenant.*", "steps[3].emit: a workflow's own signal"),
    ("steps/3/emit", "tenant.A", "steps[3].emit: a workflow's own signal"),
    ("steps/3/payload/by/0", "{{signal.payload.x", "steps[3].payload.by[0]: There are braces without a template"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "value", "said"), FAULTS, ids=[f"{path}={value!r}"[:60] for path, value, _ in FAULTS]
)
def test_a_fault_is_said_with_its_place(path: str, value: Any, said: str, registry: Registry) -> None:
    with pytest.raises(InvalidInput) as raised:
        check(registry, parse(json.dumps(changed(path, value)).encode()))
    assert str(raised.value).startswith(said)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (b"", "This is no JSON at line 1, column 1"),
        (b'{"name": }', "This is no JSON at line 1, column 10"),
        (b"\xff", "it is not UTF-8"),
        (b"[]", "the workflow: "),
        (b'"x"', "the workflow: "),
        (b'{"name": "a", "name": "b"}', "the key 'name' stands twice"),
        (b'{"name": NaN}', "NaN is no JSON"),
        (b"[" * 60_000, "This is no JSON that can be used"),
        (b'{"a": ' + b"9" * 5000 + b"}", "This is no JSON that can be used"),
        (b" " * (MAX_BYTES + 1), "A workflow has at most 65536 bytes"),
    ],
)
def test_what_is_no_json_or_no_object_is_refused_in_one_sentence(given: bytes, said: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        parse(given)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    "pattern", ["tenant.order.late", "tenant.*", "tenant.order.*", "thing.*", "workflow.run.*"]
)
def test_signals_that_can_happen_can_be_asked_for(pattern: str, registry: Registry) -> None:
    check(registry, read(changed("on", pattern)))


def test_a_pattern_stands_for_what_is_below_it() -> None:
    assert fits("chat.*", "chat.message.received")
    assert not fits("chat.*", "chat")
    assert not fits("chat.*", "chatter.said")
    assert fits("chat.x", "chat.x")
    assert not fits("chat.x", "chat.x.y")


def test_the_readmes_workflow_is_one() -> None:
    definition = parse(section("Workflows").split("```")[1].encode())
    assert definition.name == "late-orders"

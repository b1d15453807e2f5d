"""Templates are look-ups: whatever a stranger writes stays text, and whatever an author miswrites is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetprompt.kernel.errors import InvalidInput
from fleetprompt.runtime.workflows.conditions import Condition, all_hold
from fleetprompt.runtime.workflows.templates import (
    MAX_RENDERED_CHARS,
    Missing,
    TooLarge,
    fill_in,
    look_up,
    parse_path,
    parse_text,
    paths_in,
)

CONTEXT: dict[str, Any] = {
    "signal": {
        "id": "s1",
        "name": "chat.message.received",
        "payload": {"text": "hi", "n": 7, "yes": True, "none": None, "list": [{"a": 1}, 2], "key-x": "dash"},
    },
    "steps": {"ask": {"result": {"text": "answer", "receipts": []}}},
}


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{signal.payload.n}}", 7),
        ("{{ signal.payload.n }}", 7),
        ("{{signal.payload.yes}}", True),
        ("{{signal.payload.none}}", None),
        ("{{signal.payload.list}}", [{"a": 1}, 2]),
        ("{{signal.payload.list.0.a}}", 1),
        ("{{signal.payload.key-x}}", "dash"),
        ("{{signal.name}}", "chat.message.received"),
        ("{{steps.ask.result.text}}", "answer"),
        ("{{steps.ask.result}}", {"text": "answer", "receipts": []}),
        ("n={{signal.payload.n}}!", "n=7!"),
        ("{{signal.payload.text}}{{signal.payload.text}}", "hihi"),
        ("<{{signal.payload.none}}>", "<>"),
        ("{{signal.payload.list}};", '[{"a":1},2];'),
        ("{{signal.payload.yes}};", "true;"),
        ("plain", "plain"),
        ("", ""),
        ("{ single } $x ${x} %(x)s {0}", "{ single } $x ${x} %(x)s {0}"),
    ],
)
def test_a_template_is_what_lies_at_its_path(template: str, value: Any) -> None:
    assert fill_in(template, CONTEXT) == value
    assert fill_in({"k": [template]}, CONTEXT) == {"k": [value]}


HOSTILE = [
    "signal", "signal.", "signal.payload", "signal.payload.", "signal..payload.x", ".signal.name", "signal.nothing",
    "steps.ask", "steps.Ask.result", "steps.ask.output", "steps..result", "signal.payload.__class__.__init__()",
    "signal.payload.x()", "signal.payload.x[0]", "signal.payload['x']", "signal.payload.x|upper", "7*7", "''.join([])",
    "signal.payload.x if 1 else 2", "config", "self", "run.id", "signal.payload.ünï", "signal.payload.x\n",
    "signal.payload.x\x00", "signal.payload.\u202etxet", "signal.payload." + "a." * 400 + "a", "signal.payload.-x",
    "signal.payload.x y", "{{signal.name}}", " ", "", "steps.ask.result.", "signal.payload.1234567",
]  # fmt: skip


@pytest.mark.parametrize("path", HOSTILE)
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(InvalidInput):
        parse_path(path)
    with pytest.raises(InvalidInput):
        parse_text("a {{" + path + "}} b")


@pytest.mark.parametrize(
    "text", ["{{", "}}", "a {{ b", "}} {{", "{{signal.name}} }}", "{{{{signal.name}}}}", "{{{signal.name}}}"]
)
def test_braces_without_a_template_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_text(text)


@pytest.mark.parametrize(
    "path",
    [
        "signal.payload.nothing",
        "signal.payload.list.2",
        "signal.payload.list.a",
        "signal.payload.text.0",
        "signal.payload.text.upper",
        "signal.payload.n.real",
        "signal.payload.none.x",
        "steps.other.result.text",
        "signal.payload.__class__",
        "signal.payload.list.__len__",
        "signal.occurred_at",
    ],
)
def test_where_there_is_nothing_the_path_is_named_and_nothing_else(path: str) -> None:
    with pytest.raises(Missing) as raised:
        fill_in("{{" + path + "}}", CONTEXT)
    assert raised.value.what == f"There is no {path}."


def test_a_strangers_braces_are_text() -> None:
    payload = {"text": "{{steps.ask.result.text}} {{", "more": "{{signal.payload.text}}"}
    context = {**CONTEXT, "signal": {"payload": payload}}
    assert fill_in("> {{signal.payload.text}}", context) == "> {{steps.ask.result.text}} {{"
    assert fill_in("{{signal.payload.more}}", context) == "{{signal.payload.text}}"


def test_keys_are_no_templates() -> None:
    assert fill_in({"{{signal.name}}": 1}, CONTEXT) == {"{{signal.name}}": 1}
    assert list(paths_in({"{{signal.name}}": 1})) == []


@pytest.mark.parametrize("template", ["{{signal.payload.text}}" * 200, ["{{signal.payload.text}}"] * 200])
def test_a_value_that_is_named_often_does_not_fill_the_memory(template: Any) -> None:
    context = {"signal": {"payload": {"text": "x" * 10_000}}, "steps": {}}
    with pytest.raises(TooLarge, match=str(MAX_RENDERED_CHARS)):
        fill_in(template, context)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(json_values, json_values)
def test_any_value_goes_through_as_it_is(payload: Any, result: Any) -> None:
    context = {"signal": {"payload": {"x": payload}}, "steps": {"s": {"result": result}}}
    assert fill_in("{{signal.payload.x}}", context) == payload
    assert fill_in(["{{steps.s.result}}"], context) == [result]
    within = fill_in("<{{signal.payload.x}}>", context)
    if isinstance(payload, str):
        assert within == f"<{payload}>"
    elif payload is not None:
        assert json.loads(within[1:-1]) == payload


@given(st.text(max_size=60))
def test_any_text_is_parsed_or_refused_and_never_anything_else(text: str) -> None:
    try:
        parts = parse_text(text)
    except InvalidInput:
        assert "{{" in text or "}}" in text
        return
    assert "".join(part for part in parts if isinstance(part, str)) == text or "{{" in text


def holds(condition: Any, value: Any) -> bool:
    when = {"signal.payload.x": Condition.model_validate(condition)}
    return all_hold(when, {"signal": {"payload": {"x": value}}, "steps": {}})


@pytest.mark.parametrize(
    ("condition", "value", "expected"),
    [
        ("a", "a", True),
        ("a", "A", False),
        ({"equals": 1}, 1.0, True),
        ({"equals": 1}, True, False),
        ({"equals": True}, 1, False),
        ({"equals": None}, None, True),
        ({"equals": None}, "", False),
        ({"contains": "b"}, "abc", True),
        ({"contains": "b"}, ["b"], True),
        ({"contains": "b"}, ["abc"], False),
        ({"contains": 1}, [True], False),
        ({"contains": 1}, "1", False),
        ({"contains": "b"}, {"b": 1}, False),
        ({"contains": "b"}, None, False),
    ],
)
def test_a_condition_holds_as_json_is_compared(condition: Any, value: Any, expected: bool) -> None:
    assert holds(condition, value) is expected


def test_where_there_is_nothing_no_condition_holds() -> None:
    when = {"signal.payload.x": Condition.model_validate(None)}
    assert not all_hold(when, {"signal": {"payload": {}}, "steps": {}})
    assert all_hold({}, {"signal": {}, "steps": {}})


@pytest.mark.parametrize(
    "condition", [{}, [], {"equals": 1, "contains": 1}, {"matches": "x"}, {"equals": [1]}, {"equals": {}}]
)
def test_what_is_no_condition_is_refused(condition: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Condition.model_validate(condition)


def test_a_path_knows_whose_result_it_reads() -> None:
    assert parse_path("steps.ask.result.text").step == "ask"
    assert parse_path("signal.payload.steps").step is None
    assert look_up(parse_path("signal.id"), CONTEXT) == "s1"

"""What a model is told of a tool's end, and what the builtin planner makes of it."""

from __future__ import annotations

import json
from typing import Any

from fleetprompt.model import Directive
from fleetprompt.model.states import DirectiveState
from fleetprompt.runtime.executions.register import result_of
from fleetprompt.runtime.llm import ToolCall, ToolReturned
from fleetprompt.runtime.llm.builtin import answers


def returned(arguments: dict[str, Any], content: dict[str, Any]) -> ToolReturned:
    call = ToolCall(0, "orders.hold", arguments, json.dumps(arguments), "id")
    return ToolReturned(call, json.dumps(content), failed=False)


def test_answer_does_not_repeat_what_was_asked() -> None:
    text = answers.result(returned({"number": "1042"}, {"number": "1042", "status": "delayed"}))
    assert text == "**orders hold** (number 1042): status delayed."


def test_answer_keeps_a_value_that_differs_from_what_was_asked() -> None:
    assert "number 1043" in answers.result(returned({"number": "1042"}, {"number": "1043"}))


def test_result_that_only_repeats_the_request_is_done() -> None:
    assert answers.result(returned({"number": "1042"}, {"number": "1042"})).endswith(": done.")


def test_answer_leaves_out_what_is_empty() -> None:
    text = answers.result(returned({}, {"eta": "", "note": None, "status": "delayed"}))
    assert text == "**orders hold**: status delayed."


def test_model_is_not_told_that_an_effect_was_found_after_a_crash() -> None:
    receipts = [{"hold_id": "H-1", "found": True}]
    directive = Directive(state=DirectiveState.SUCCEEDED, result={"receipts": receipts})
    assert result_of(directive) == ("done", '{"hold_id":"H-1"}')

"""The values at the model boundary."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest
from pydantic import SecretStr

from fleetprompt.runtime.llm.types import Endpoint, ModelReply, ToolCall, Usage, reply_from_raw, reply_to_raw


@pytest.mark.parametrize("cost", [None, Decimal("0"), Decimal("0.000123")])
@pytest.mark.parametrize("arguments", [None, {}, {"number": "1042", "nested": {"list": [1, "é", None]}}])
def test_reply_survives_json(cost: Decimal | None, arguments: dict[str, object] | None) -> None:
    call = ToolCall(0, "order_status", arguments, '{"number', "call_1")
    reply = ModelReply("hm", (call,), Usage(3, 4, 1, 2), cost, "openai:gpt-5", 12, "tool_call", {})
    reply = replace(reply, raw=reply_to_raw(reply, {"kind": "response"}))
    stored = json.loads(json.dumps(reply.raw))
    assert reply_from_raw(stored) == reply
    assert reply_from_raw(stored).raw == stored


def test_endpoint_hides_its_key() -> None:
    endpoint = Endpoint("openai:gpt-5", None, SecretStr("sk-very-secret"))
    assert "sk-very-secret" not in repr(endpoint)
    assert "sk-very-secret" not in str(endpoint)

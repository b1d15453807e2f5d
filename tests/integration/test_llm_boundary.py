"""The model boundary against a real server on loopback, through the real SDKs of both providers."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal

import pytest

from fleetprompt.kernel.json import clean
from fleetprompt.runtime.llm import (
    AssistantActs,
    AssistantSays,
    Message,
    ModelBoundary,
    ModelRequest,
    PersonSays,
    SystemNote,
    ToolCall,
    ToolReturned,
    reply_from_raw,
)
from tests.llm_bench import Bench, endpoint
from tests.openai_stub import OpenAIStub, Reply


async def test_text_comes_back_with_usage_and_unknown_cost(bench: Bench) -> None:
    reply = await bench.ask(Reply.says("It is on its way.", tokens=(120, 7)))
    assert (reply.text, reply.calls, reply.finish) == ("It is on its way.", (), "stop")
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (120, 7)
    assert reply.cost_usd is None
    assert reply.model == f"{bench.provider}:stub-model"
    assert reply.latency_ms >= 0


async def test_calls_come_back_under_our_tool_names(bench: Bench) -> None:
    reply = await bench.ask(Reply.calls(("orders_status", {"number": "1042"}), ("orders_list", {})))
    assert [(call.index, call.name, call.arguments) for call in reply.calls] == [
        (0, "orders.status", {"number": "1042"}),
        (1, "orders_list", {}),
    ]
    assert reply.finish == "tool_call"
    assert len({call.provider_id for call in reply.calls}) == 2


async def test_reply_survives_the_database(bench: Bench) -> None:
    reply = await bench.ask(Reply.calls(("orders_status", {"number": "a\x00b"}), text="Let me see.\x00"))
    assert reply_from_raw(json.loads(json.dumps(reply.raw))) == reply
    assert clean(reply.raw) == reply.raw


async def test_unknown_tool_is_passed_on_for_the_loop_to_refuse(bench: Bench) -> None:
    reply = await bench.ask(Reply.calls(("drop_tables", {})))
    assert reply.calls[0].name == "drop_tables"


@pytest.mark.parametrize("arguments", ['{"number": ', "[1]", '"1042"', "null", "[" * 5000])
async def test_malformed_arguments_are_a_value_and_can_be_sent_back(stub: OpenAIStub, arguments: str) -> None:
    async with ModelBoundary(endpoint("openai", stub)) as boundary:
        bench = Bench("openai", stub, boundary)
        reply = await bench.ask(Reply.calls(("orders_status", arguments)))
        [call] = reply.calls
        assert (call.arguments, call.raw_arguments) == (None, arguments)
        turn = (
            PersonSays("ann", "hm"),
            AssistantActs("", reply.calls, reply.raw),
            ToolReturned(call, "bad", True),
        )
        assert (await bench.ask(Reply.says("sorry"), messages=turn)).text == "sorry"


async def test_empty_arguments_are_no_arguments(stub: OpenAIStub) -> None:
    async with ModelBoundary(endpoint("openai", stub)) as boundary:
        reply = await Bench("openai", stub, boundary).ask(Reply.calls(("orders_list", "")))
    assert reply.calls[0].arguments == {}


async def test_cut_answer_is_kept_and_says_so(bench: Bench) -> None:
    reply = await bench.ask(Reply.says("Once upon a", finish="length"))
    assert (reply.text, reply.finish) == ("Once upon a", "length")


async def test_whole_conversation_reaches_the_model(bench: Bench) -> None:
    acted = await bench.ask(Reply.calls(("orders_status", {"number": "1042"}), text="Let me see."))
    turn: tuple[Message, ...] = (
        SystemNote("12 earlier messages were cut"),
        PersonSays("ann", "hi"),
        AssistantSays("hello"),
        PersonSays("ann", "where is 1042"),
        PersonSays("bob", "yes, where"),
        AssistantActs("Let me see.", acted.calls, acted.raw),
        ToolReturned(acted.calls[0], '{"state": "shipped"}'),
        PersonSays("ann", "and?"),
    )
    await bench.ask(Reply.says("Shipped."), messages=turn)
    sent = bench.stub.requests[-1].json
    everything = json.dumps(sent)
    for expected in (
        "12 earlier messages were cut",
        "Be brief.",
        "ann: where is 1042",
        "bob: yes, where",
        "hello",
        "shipped",
    ):
        assert expected in everything
    roles = [message["role"] for message in sent["messages"]]
    if bench.provider == "anthropic":
        assert roles == ["user", "assistant", "user", "assistant", "user"]
    else:
        assert roles == ["system", "user", "assistant", "user", "user", "assistant", "tool", "user"]


async def test_builtin_history_and_missing_results_are_made_whole(bench: Bench) -> None:
    lost = ToolCall(0, "orders.status", {"number": "7"}, '{"number": "7"}', "b-1")
    orphan = ToolCall(0, "orders_list", {}, "{}", "gone")
    turn: tuple[Message, ...] = (
        ToolReturned(orphan, "a result whose call was cut"),
        PersonSays("ann", "where is 7"),
        AssistantActs("", (lost,)),
        PersonSays("ann", "hello?"),
    )
    assert (await bench.ask(Reply.says("hm"), messages=turn)).text == "hm"
    everything = json.dumps(bench.stub.requests[-1].json)
    assert "No result was recorded" in everything
    assert "whose call was cut" not in everything


async def test_failed_tool_result_is_marked(bench: Bench) -> None:
    call = ToolCall(0, "orders_list", {}, "{}", "b-1")
    turn: tuple[Message, ...] = (
        PersonSays("ann", "all"),
        AssistantActs("", (call,)),
        ToolReturned(call, "away", True),
    )
    await bench.ask(Reply.says("It failed."), messages=turn)
    everything = json.dumps(bench.stub.requests[-1].json)
    assert "is_error" in everything or "error" in everything


async def test_same_request_is_sent_the_same_way(bench: Bench) -> None:
    await bench.ask(Reply.says("a"))
    await bench.ask(Reply.says("b"))
    first, second = (request.json for request in bench.stub.requests)
    assert first == second


@pytest.mark.parametrize(
    ("model", "field"), [("llama3.3:70b", "max_tokens"), ("gpt-5", "max_completion_tokens")]
)
async def test_output_limit_goes_in_the_field_the_server_knows(
    stub: OpenAIStub, model: str, field: str
) -> None:
    async with ModelBoundary(endpoint("openai", stub, model)) as boundary:
        await Bench("openai", stub, boundary).ask(Reply.says("a"))
    limits = {k: v for k, v in stub.requests[0].json.items() if "tokens" in k}
    assert limits == {field: 2048}


async def test_agents_own_model_is_asked_for(bench: Bench) -> None:
    request = ModelRequest(f"{bench.provider}:other-model", "", (PersonSays("ann", "hi"),))
    reply = await bench.boundary.respond(request)
    assert reply.model == f"{bench.provider}:other-model"
    assert bench.stub.requests[0].json["model"] == "other-model"


async def test_known_model_has_a_price(stub: OpenAIStub) -> None:
    async with ModelBoundary(endpoint("openai", stub, "gpt-4o")) as boundary:
        reply = await Bench("openai", stub, boundary).ask(Reply.says("a", tokens=(1_000_000, 0)))
    assert reply.cost_usd is not None
    assert Decimal("0.1") < reply.cost_usd < 100


async def test_fallback_is_another_server_with_its_own_model(stub: OpenAIStub) -> None:
    async with (
        OpenAIStub() as other,
        ModelBoundary(endpoint("openai", stub), endpoint("anthropic", other, "claude-x")) as boundary,
    ):
        other.script([Reply.says("from the fallback")])
        request = ModelRequest("openai:own", "", (PersonSays("ann", "hi"),))
        reply = await boundary.respond(request, fallback=True)
    assert (reply.text, reply.model) == ("from the fallback", "anthropic:claude-x")
    assert stub.requests == []


async def test_history_of_one_provider_is_understood_by_the_other(stub: OpenAIStub) -> None:
    async with ModelBoundary(endpoint("openai", stub), endpoint("anthropic", stub)) as boundary:
        bench = Bench("openai", stub, boundary)
        acted = await bench.ask(Reply.calls(("orders_status", {"number": "1"})))
        turn = (
            PersonSays("ann", "x"),
            AssistantActs("", acted.calls, acted.raw),
            ToolReturned(acted.calls[0], "ok"),
        )
        assert (await bench.ask(Reply.says("done"), messages=turn, fallback=True)).text == "done"


async def test_concurrent_calls_share_one_client(bench: Bench) -> None:
    bench.stub.rule(lambda request: Reply.says(json.dumps(request["messages"][-1])))
    asked = [bench.ask(messages=(PersonSays("ann", f"number {n}"),)) for n in range(20)]
    replies = await asyncio.gather(*asked)
    assert all(f"number {n}" in reply.text for n, reply in enumerate(replies))


async def test_cancelled_call_leaves_a_usable_boundary(bench: Bench) -> None:
    await bench.ask(Reply.says("warm"))
    task = asyncio.create_task(bench.ask(Reply.hangs()))
    await bench.stub.received(2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await bench.ask(Reply.says("still here"))).text == "still here"

"""Each way a provider fails, through the real SDKs, has its kind after exactly one request."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from fleetprompt.runtime.llm import (
    Endpoint,
    FailureKind,
    ModelBoundary,
    ModelFailure,
    ModelRequest,
    PersonSays,
)
from tests.llm_bench import KEY, SECRET_TEXT, Bench, endpoint
from tests.openai_stub import OpenAIStub, Reply

FAILURES: list[tuple[str, Callable[[], Reply], FailureKind]] = [
    ("429", lambda: Reply.rate_limited(7), FailureKind.RATE_LIMITED),
    ("500", Reply.server_error, FailureKind.OVERLOADED),
    ("502 html", lambda: Reply.garbage(status=502), FailureKind.OVERLOADED),
    ("503", lambda: Reply.server_error(503), FailureKind.OVERLOADED),
    ("529", lambda: Reply.server_error(529), FailureKind.OVERLOADED),
    ("401", Reply.unauthorized, FailureKind.CREDENTIAL_REFUSED),
    ("403", lambda: Reply.unauthorized(403), FailureKind.CREDENTIAL_REFUSED),
    ("no credit", Reply.out_of_credit, FailureKind.CREDENTIAL_REFUSED),
    ("400", Reply.bad_request, FailureKind.BAD_REQUEST),
    ("404", lambda: Reply.bad_request(404), FailureKind.BAD_REQUEST),
    ("422", lambda: Reply.bad_request(422), FailureKind.BAD_REQUEST),
    ("408", lambda: Reply.bad_request(408), FailureKind.TIMED_OUT),
    ("413", lambda: Reply.bad_request(413), FailureKind.CONTEXT_TOO_LONG),
    ("too long", Reply.too_long, FailureKind.CONTEXT_TOO_LONG),
    ("refusal", Reply.refuses, FailureKind.REFUSED),
    ("reset", Reply.resets, FailureKind.UNREACHABLE),
    ("empty", Reply, FailureKind.MALFORMED),
    ("blank", lambda: Reply.says("  \n"), FailureKind.MALFORMED),
    ("html", Reply.garbage, FailureKind.MALFORMED),
    ("cut json", lambda: Reply.garbage(b'{"id": "x", "cho'), FailureKind.MALFORMED),
    ("other json", lambda: Reply.garbage(b'{"hello": "world"}'), FailureKind.MALFORMED),
    ("a list", lambda: Reply.garbage(b"[]"), FailureKind.MALFORMED),
    ("null", lambda: Reply.garbage(b"null"), FailureKind.MALFORMED),
    (
        "no choices",
        lambda: Reply.garbage(b'{"id": "x", "choices": [], "content": []}'),
        FailureKind.MALFORMED,
    ),
    (
        "null choices",
        lambda: Reply.garbage(b'{"id": "x", "choices": null, "content": null}'),
        FailureKind.MALFORMED,
    ),
]


@pytest.mark.parametrize(("reply", "kind"), [row[1:] for row in FAILURES], ids=[row[0] for row in FAILURES])
async def test_each_failure_has_its_kind_after_exactly_one_request(
    bench: Bench, reply: Callable[[], Reply], kind: FailureKind
) -> None:
    failure = await bench.failure(reply())
    assert failure.kind is kind
    assert len(bench.stub.requests) == 1  # retries are ours, never an SDK's
    assert KEY not in str(failure)
    assert SECRET_TEXT not in str(failure)


async def test_retry_after_is_kept(bench: Bench) -> None:
    assert (await bench.failure(Reply.rate_limited(7))).retry_after_s == 7.0
    assert (await bench.failure(Reply.rate_limited())).retry_after_s is None


async def test_silent_server_times_out(bench: Bench) -> None:
    await bench.ask(Reply.says("warm"))  # the first call imports the SDKs
    assert (await bench.failure(Reply.hangs(), timeout_s=0.2)).kind is FailureKind.TIMED_OUT


async def test_nobody_there_is_unreachable() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        async with ModelBoundary(Endpoint("openai:m", url)) as boundary:
            with pytest.raises(ModelFailure) as caught:
                await boundary.respond(ModelRequest("", "", (PersonSays("ann", "hi"),)))
    assert caught.value.kind is FailureKind.UNREACHABLE


async def test_provider_message_never_reaches_our_error(bench: Bench) -> None:
    leaky = Reply(status=400, error=("invalid_request_error", "x y z", f"bad key {KEY} in {SECRET_TEXT}"))
    failure = await bench.failure(leaky)
    assert "HTTP 400" in failure.detail
    assert KEY not in failure.detail
    assert SECRET_TEXT not in failure.detail


async def test_content_policy_error_is_a_refusal(stub: OpenAIStub) -> None:
    async with ModelBoundary(endpoint("openai", stub)) as boundary:
        refused = Reply(status=400, error=("invalid_request_error", "content_policy_violation", "no"))
        assert (await Bench("openai", stub, boundary).failure(refused)).kind is FailureKind.REFUSED


async def test_refusal_field_is_a_refusal(stub: OpenAIStub) -> None:
    body = b'{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":null,"refusal":"no"}}]}'
    async with ModelBoundary(endpoint("openai", stub)) as boundary:
        assert (
            await Bench("openai", stub, boundary).failure(Reply.garbage(body))
        ).kind is FailureKind.REFUSED

"""A model server on loopback that says what it is told: OpenAI's chat completions and Anthropic's messages.

    async with OpenAIStub() as stub:
        stub.script([Reply.calls(("order_status", {"number": "1042"})), Reply.says("It is on its way.")])
        boundary = ModelBoundary(Endpoint("openai:test", stub.url, SecretStr("k")))

Queued replies are used up first, in order of arrival; then the rule decides from the request's JSON, which stays
deterministic however many requests run at once. Alone: `python -m tests.openai_stub --port 8099` echoes, and turns
"call NAME {json}" into a tool call. Base URLs: `stub.url` (OpenAI, ends in /v1) and `stub.anthropic_url`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import struct
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from socket import SO_LINGER, SOL_SOCKET
from typing import Any, Self, TypeAlias

from tests.leaks import search_text

Arguments: TypeAlias = dict[str, Any] | str  # a string goes out as it is: malformed JSON


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server does with one request."""

    text: str = ""
    tool_calls: tuple[tuple[str, Arguments], ...] = ()
    finish: str | None = None  # OpenAI's word; derived if None
    status: int = 200
    error: tuple[str, str, str] | None = None  # (type, code, message)
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None  # sent instead of JSON
    delay_s: float = 0.0
    hang: bool = False  # never answers
    reset: bool = False  # TCP RST after the request was read
    tokens: tuple[int, int] = (100, 10)  # input, output

    @classmethod
    def says(cls, text: str, **more: Any) -> Self:
        return cls(text, **more)

    @classmethod
    def calls(cls, *tool_calls: tuple[str, Arguments], **more: Any) -> Self:
        return cls(tool_calls=tool_calls, **more)

    @classmethod
    def rate_limited(cls, retry_after_s: float | None = None) -> Self:
        headers = () if retry_after_s is None else (("retry-after", f"{retry_after_s:g}"),)
        return cls(
            status=429, error=("rate_limit_error", "rate_limit_exceeded", "slow down"), headers=headers
        )

    @classmethod
    def out_of_credit(cls) -> Self:
        return cls(status=429, error=("billing_error", "insufficient_quota", "pay first"))

    @classmethod
    def server_error(cls, status: int = 500) -> Self:
        return cls(status=status, error=("api_error", "server_error", "it broke"))

    @classmethod
    def unauthorized(cls, status: int = 401) -> Self:
        return cls(status=status, error=("authentication_error", "invalid_api_key", "wrong key"))

    @classmethod
    def bad_request(cls, status: int = 400) -> Self:
        return cls(status=status, error=("invalid_request_error", "invalid_value", "no such thing"))

    @classmethod
    def too_long(cls) -> Self:
        message = "prompt is too long: maximum context length is 8192 tokens"
        return cls(status=400, error=("invalid_request_error", "context_length_exceeded", message))

    @classmethod
    def refuses(cls) -> Self:
        return cls(finish="content_filter")

    @classmethod
    def hangs(cls) -> Self:
        return cls(hang=True)

    @classmethod
    def resets(cls) -> Self:
        return cls(reset=True)

    @classmethod
    def garbage(cls, body: bytes = b"<html>502</html>", status: int = 200) -> Self:
        return cls(body=body, status=status)


@dataclass(frozen=True, slots=True)
class Recorded:
    """One request that arrived."""

    path: str
    headers: dict[str, str]
    json: dict[str, Any] = field(repr=False)


Rule: TypeAlias = Callable[[dict[str, Any]], Reply]


class OpenAIStub:
    """The server. `requests` holds all that arrived, the failed ones included."""

    def __init__(self, port: int = 0) -> None:
        self.requests: list[Recorded] = []
        self._port = port
        self._script: deque[Reply] = deque()
        self._rule: Rule = echo
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._arrived = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def anthropic_url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def script(self, replies: Iterable[Reply]) -> None:
        """Queue replies, one a request."""
        self._script.extend(replies)

    def rule(self, rule: Rule) -> None:
        """Decide by the request when the queue is empty."""
        self._rule = rule

    async def received(self, count: int) -> None:
        """Wait until this many requests have arrived."""
        while len(self.requests) < count:
            self._arrived.clear()
            await self._arrived.wait()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in tuple(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()
        for request in self.requests if kind is None else ():
            search_text(json.dumps(request.json), "a prompt")

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client left, or the test is over; asyncio would log a cancelled handler
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        request = Recorded(head[0].split(" ")[1], headers, json.loads(body or b"{}"))
        self.requests.append(request)
        self._arrived.set()
        reply = self._script.popleft() if self._script else self._rule(request.json)
        await asyncio.sleep(reply.delay_s)
        if reply.hang:
            await reader.read()  # until the client gives up
            return False
        if reply.reset:
            writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            return False
        writer.write(_http(reply, request))
        await writer.drain()
        return True


def _http(reply: Reply, request: Recorded) -> bytes:
    is_anthropic = request.path.endswith("/messages")
    if reply.body is not None:
        body = reply.body
    elif reply.error is not None:
        body = json.dumps(_error(reply.error, is_anthropic)).encode()
    else:
        body = json.dumps((anthropic_json if is_anthropic else openai_json)(reply, request.json)).encode()
    head = f"HTTP/1.1 {reply.status} Scripted\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return "".join([head, *(f"{k}: {v}\r\n" for k, v in reply.headers), "\r\n"]).encode() + body


def _error(error: tuple[str, str, str], is_anthropic: bool) -> dict[str, Any]:
    kind, code, message = error
    if is_anthropic:
        return {"type": "error", "error": {"type": kind, "message": message}}
    return {"error": {"type": kind, "code": code, "message": message, "param": None}}


def _call_id(request: dict[str, Any], index: int) -> str:
    return f"call_{len(request.get('messages', []))}_{index}"


def openai_json(reply: Reply, request: dict[str, Any]) -> dict[str, Any]:
    """A chat completion, as in OpenAI's API reference."""
    calls = [
        {
            "id": _call_id(request, index),
            "type": "function",
            "function": {"name": name, "arguments": args if isinstance(args, str) else json.dumps(args)},
        }
        for index, (name, args) in enumerate(reply.tool_calls)
    ]
    message = {"role": "assistant", "content": reply.text or None} | ({"tool_calls": calls} if calls else {})
    return {
        "id": "chatcmpl-stub",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": request.get("model", ""),
        "choices": [
            {
                "index": 0,
                "message": message,
                "finish_reason": reply.finish or ("tool_calls" if calls else "stop"),
            }
        ],
        "usage": {
            "prompt_tokens": reply.tokens[0],
            "completion_tokens": reply.tokens[1],
            "total_tokens": sum(reply.tokens),
        },
    }


_ANTHROPIC_FINISH = {"content_filter": "refusal", "length": "max_tokens"}


def anthropic_json(reply: Reply, request: dict[str, Any]) -> dict[str, Any]:
    """A message, as in Anthropic's API reference. Its tool input is always JSON."""
    content: list[dict[str, Any]] = [{"type": "text", "text": reply.text}] if reply.text else []
    for index, (name, args) in enumerate(reply.tool_calls):
        content.append({"type": "tool_use", "id": _call_id(request, index), "name": name, "input": args})
    stop = "tool_use" if reply.tool_calls else "end_turn"
    return {
        "id": "msg_stub",
        "type": "message",
        "role": "assistant",
        "model": request.get("model", ""),
        "content": content,
        "stop_reason": _ANTHROPIC_FINISH.get(reply.finish or "", stop),
        "stop_sequence": None,
        "usage": {"input_tokens": reply.tokens[0], "output_tokens": reply.tokens[1]},
    }


def last_text(request: dict[str, Any]) -> str:
    """The text of the last message of either API."""
    content = request["messages"][-1].get("content") if request.get("messages") else ""
    if isinstance(content, list):
        return "\n".join(str(block.get("text") or block.get("content") or "") for block in content)
    return str(content or "")


def echo(request: dict[str, Any]) -> Reply:
    """The default rule: "call NAME {json}" is a tool call, anything else comes back."""
    text = last_text(request)
    is_result = bool(request.get("messages")) and request["messages"][-1].get("role") == "tool"
    called = None if is_result else re.search(r"\bcall (\w+) (\{.*\})", text, re.DOTALL)
    return Reply.calls((called[1], called[2])) if called else Reply.says(f"You said: {text}")


async def _serve(port: int) -> None:
    async with OpenAIStub(port) as stub:
        print(stub.url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=0)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(parser.parse_args().port))

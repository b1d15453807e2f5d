"""The web process, on a real port of loopback."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx2
import pytest
from litestar import get, post
from litestar.params import JSONBody

from fleetprompt.kernel.clock import monotonic_s
from fleetprompt.kernel.errors import Unavailable
from fleetprompt.surfaces.health import health_routes
from fleetprompt.surfaces.web import create_app, listen, serve

PRIVATE = "zebra crossing at dawn"


async def ready() -> str | None:
    return None


@get("/slow")
async def slow() -> str:
    await asyncio.sleep(60)
    return "late"


@get("/broken")
async def broken() -> str:
    raise ValueError(PRIVATE)


@get("/away")
async def away() -> str:
    raise Unavailable("Postgres is away.", "Start it.")


@post("/orders")
async def order(data: JSONBody[dict[str, int]]) -> dict[str, int]:
    return data


@contextlib.asynccontextmanager
async def serving(readiness: Callable[[], Awaitable[str | None]] = ready) -> AsyncIterator[str]:
    """A running web process; the base URL. Leaving it stops it, in less than five seconds or the test fails."""
    stop, ports = asyncio.Event(), asyncio.Queue[int]()
    app = create_app(readiness, [slow, broken, away, order])
    running = asyncio.ensure_future(serve(app, "127.0.0.1", 0, stop, lambda _, port: ports.put_nowait(port)))
    try:
        yield f"http://127.0.0.1:{await ports.get()}"
    finally:
        begun = monotonic_s()
        stop.set()
        await running
        assert monotonic_s() - begun < 5


async def test_a_running_process_is_healthy_and_ready() -> None:
    async with serving() as base, httpx2.AsyncClient(base_url=base) as client:
        for path, body in (("/healthz", {"status": "ok"}), ("/readyz", {"status": "ready"})):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()) == (200, body)
            assert answer.headers["cache-control"] == "no-store"
            assert "server" not in answer.headers


async def _hangs() -> str | None:
    await asyncio.sleep(60)
    return None


async def _says_why() -> str | None:
    return "Postgres does not answer."


async def _raises_ours() -> str | None:
    raise Unavailable("Postgres is away.", "Start it.")


async def _raises_foreign() -> str | None:
    raise ValueError(PRIVATE)


async def _refused() -> str | None:
    raise ConnectionRefusedError(111, "refused", "/somewhere")


@pytest.mark.parametrize(
    ("readiness", "reason"),
    [
        (_says_why, "Postgres does not answer."),
        (_raises_ours, "Postgres is away. Start it."),
        (_raises_foreign, "The probe failed: ValueError."),
        (_refused, "The database cannot be reached: ConnectionRefusedError."),
        (_hangs, "The probe did not answer within 2 s."),
    ],
)
async def test_unready_is_503_with_a_reason_whatever_the_probe_does(
    readiness: Callable[[], Awaitable[str | None]], reason: str
) -> None:
    async with serving(readiness) as base, httpx2.AsyncClient(base_url=base) as client:
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()) == (503, {"status": "unavailable", "reason": reason})
        assert (await client.get("/healthz")).status_code == 200


async def test_metrics_are_there_for_prometheus() -> None:
    async with serving() as base, httpx2.AsyncClient(base_url=base) as client:
        await client.get("/healthz")
        answer = await client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain")
        assert "fleetprompt_web_requests_total" in answer.text


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("GET", "/nowhere", {}, 404),
        ("GET", "/schema", {}, 404),
        ("GET", "/%00%ff/..%2f", {}, 404),
        ("POST", "/healthz", {}, 405),
        ("BREW", "/healthz", {}, 405),
        ("POST", "/orders", {"content": b"{"}, 400),
        ("POST", "/orders", {"json": {"count": "many"}}, 400),
        ("POST", "/orders", {"content": b"\xff\xfe"}, 400),
        ("POST", "/orders", {"content": b"[" * 100_000}, 400),
        ("POST", "/orders", {"content": b" " * 10_000_001}, 413),
        ("GET", "/readyz?" + "a=1&" * 500, {}, 200),
    ],
)
async def test_bad_requests_get_a_json_answer_and_never_500(
    method: str, path: str, options: dict[str, bytes], status: int
) -> None:
    async with serving() as base, httpx2.AsyncClient(base_url=base) as client:
        answer = await client.request(method, path, **options)  # type: ignore[arg-type]
        assert answer.status_code == status
        assert status == 200 or set(answer.json()["error"]) == {"code", "message"}


@pytest.mark.parametrize(
    "raw",
    [
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_refused_and_the_process_lives(raw: bytes) -> None:
    async with serving() as base:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(base.rsplit(":", 1)[1]))
        writer.write(raw)
        writer.write_eof()
        assert b" 500 " not in await asyncio.wait_for(reader.read(), 5)
        writer.close()
        await writer.wait_closed()
        async with httpx2.AsyncClient(base_url=base) as client:
            assert (await client.get("/healthz")).status_code == 200


async def test_our_own_fault_is_500_without_its_words_and_a_lack_is_503_with_them() -> None:
    async with serving() as base, httpx2.AsyncClient(base_url=base) as client:
        failed, unavailable = await client.get("/broken"), await client.get("/away")
        assert (failed.status_code, failed.json()["error"]["code"]) == (500, "internal")
        assert PRIVATE not in failed.text
        assert (unavailable.status_code, unavailable.json()["error"]["message"]) == (
            503,
            "Postgres is away. Start it.",
        )


async def test_it_stops_in_time_with_idle_half_sent_and_slow_requests_open() -> None:
    async with serving() as base:
        port = int(base.rsplit(":", 1)[1])
        requests = (
            b"",
            b"GET /slow HT",
            b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        connections = [await asyncio.open_connection("127.0.0.1", port) for _ in requests]
        for (_, writer), request in zip(connections, requests, strict=True):
            writer.write(request)
        await asyncio.sleep(0.2)
    for reader, writer in connections:
        with contextlib.suppress(ConnectionError):
            await asyncio.wait_for(reader.read(), 1)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_a_cancelled_server_closes_its_port() -> None:
    ports = asyncio.Queue[int]()
    running = asyncio.ensure_future(
        serve(create_app(ready), "127.0.0.1", 0, asyncio.Event(), lambda _, port: ports.put_nowait(port))
    )
    port = await ports.get()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    for opened in listen("127.0.0.1", port):
        opened.close()


async def test_a_port_in_use_is_an_error_that_says_what_to_do() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(Unavailable, match="FLEETPROMPT_PORT"),
    ):
        await serve(create_app(ready), "127.0.0.1", taken.getsockname()[1], asyncio.Event())


async def test_a_host_that_does_not_exist_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(Unavailable, match="FLEETPROMPT_HOST"):
        await serve(create_app(ready), "no.such.host.invalid", 0, asyncio.Event())


def test_the_routes_are_three() -> None:
    assert sorted(path for route in health_routes(ready) for path in route.paths) == [
        "/healthz",
        "/metrics",
        "/readyz",
    ]

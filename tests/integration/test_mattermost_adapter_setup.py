"""Settings that do not fit: each says what is wrong and what to do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from adapters.contract import Check
from adapters.errors import AdapterError, CredentialRefused, Misconfigured, Unreachable
from adapters.mattermost import MattermostAdapter, MattermostSettings
from fleetprompt.sandbox.mattermost import SandboxMattermost
from tests.adapter_stages import QUICK, MattermostStage

FAST = replace(QUICK, read_retries=0, hello_timeout_s=0.5)


@pytest.fixture
async def stage() -> AsyncIterator[MattermostStage]:
    async with SandboxMattermost() as server:
        yield MattermostStage(server, server, FAST)


def settings(stage: MattermostStage, **changes: object) -> MattermostSettings:
    chosen = MattermostSettings(stage.server.url, stage.bot.token, "acme", pace=FAST)
    return replace(chosen, **changes)  # type: ignore[arg-type]


async def failure(chosen: MattermostSettings) -> AdapterError:
    """What opening says, which is also what the set-up test says."""
    adapter = MattermostAdapter(chosen)
    try:
        with pytest.raises(AdapterError) as failed:
            await adapter.open()
        line = (await adapter.check())[-1]
    finally:
        await adapter.close()
    assert not line.ok
    assert line.remedy
    assert chosen.token not in repr(failed.value) + line.detail + line.remedy
    return failed.value


@asynccontextmanager
async def http_server(
    answer: Callable[[Request], tuple[int, str, bytes]], cookie: str = ""
) -> AsyncIterator[str]:
    """Any other web server: answers each request as told."""

    async def respond(connection: ServerConnection, request: Request) -> Response:
        status, media_type, body = answer(request)
        headers = Headers(
            {"Content-Type": media_type, "Content-Length": str(len(body)), "Connection": "close"}
        )
        if cookie:
            headers["Set-Cookie"] = cookie
        return Response(status, "", headers, body)

    async def never(connection: ServerConnection) -> None:
        raise AssertionError("no websocket here")

    async with serve(never, "127.0.0.1", 0, process_request=respond) as server:
        yield f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


async def test_nothing_listens_at_the_address(stage: MattermostStage) -> None:
    await stage.server.http.stop()
    error = await failure(settings(stage))
    assert isinstance(error, Unreachable)
    assert "server_url" in error.advice
    await stage.server.http.start()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "chat.example.org",
        "ftp://chat.example.org",
        "http://",
        "http://user@host",
        "http://h:99999",
        "http://h/?x=1",
    ],
)
async def test_what_is_no_address_is_refused_before_any_call(stage: MattermostStage, url: str) -> None:
    assert isinstance(await failure(settings(stage, server_url=url)), Misconfigured)


@pytest.mark.parametrize(
    ("status", "media_type", "body"),
    [
        (200, "text/html", b"<html>a shop</html>"),
        (404, "text/html", b"<html>gone</html>"),
        (200, "application/json", b'{"hello": "I am another service"}'),
        (301, "text/html", b""),
        (200, "application/json", b"[]"),
    ],
)
async def test_another_kind_of_server_is_told(
    stage: MattermostStage, status: int, media_type: str, body: bytes
) -> None:
    async with http_server(lambda request: (status, media_type, body)) as url:
        error = await failure(settings(stage, server_url=url))
    assert isinstance(error, Misconfigured)
    assert "server_url" in error.advice


async def test_the_bot_of_another_server_is_refused(stage: MattermostStage) -> None:
    async with SandboxMattermost() as other:
        stranger = other.create_user("fleet", is_bot=True)
        assert isinstance(await failure(settings(stage, token=stranger.token)), CredentialRefused)


@pytest.mark.parametrize("token", ["", "two words\nand lines", "tökén"])
async def test_what_is_no_token_is_refused_before_any_call(stage: MattermostStage, token: str) -> None:
    adapter = MattermostAdapter(settings(stage, token=token))
    with pytest.raises(Misconfigured):
        await adapter.open()
    assert not (await adapter.check())[0].ok
    await adapter.close()


async def test_a_persons_token_needs_permission(stage: MattermostStage) -> None:
    error = await failure(settings(stage, token=stage.dana.token))
    assert isinstance(error, Misconfigured)
    assert "allow_user_account" in error.advice
    adapter = MattermostAdapter(settings(stage, token=stage.dana.token, allow_user_account=True))
    assert (await adapter.open()).account_name == "dana"
    await adapter.close()


async def test_a_team_without_the_bot_is_told(stage: MattermostStage) -> None:
    stage.server.create_team("sales")
    error = await failure(settings(stage, team="sales"))
    assert isinstance(error, Misconfigured)
    assert "team" in error.advice


async def test_a_teams_name_may_be_written_in_capitals(stage: MattermostStage) -> None:
    adapter = MattermostAdapter(settings(stage, team=" ACME "))
    await adapter.open()
    await adapter.close()


async def test_the_account_key_is_the_same_for_each_spelling_of_the_address(stage: MattermostStage) -> None:
    port = stage.server.url.rsplit(":", 1)[1]
    keys = set()
    for url in (f"http://localhost:{port}", f"HTTP://LOCALHOST:{port}/", f" http://LocalHost:{port}// "):
        adapter = MattermostAdapter(settings(stage, server_url=url))
        keys.add((await adapter.open()).account_key)
        await adapter.close()
    assert len(keys) == 1


async def _lines(adapter: MattermostAdapter) -> dict[str, Check]:
    lines = {line.name: line for line in await adapter.check()}
    await adapter.close()
    return lines


async def test_check_tries_all_from_the_address_to_the_limits(stage: MattermostStage) -> None:
    lines = await _lines(MattermostAdapter(settings(stage)))
    assert list(lines) == ["address", "token", "team", "channels", "websocket", "limits"]
    assert all(line.ok for line in lines.values())
    assert "16383" in lines["limits"].detail


async def test_check_tells_of_a_proxy_that_stops_websockets(stage: MattermostStage) -> None:
    stage.server.refuse_websockets(1, 403)
    line = (await _lines(MattermostAdapter(settings(stage))))["websocket"]
    assert not line.ok
    assert "Upgrade" in line.remedy


async def test_no_cookie_is_kept(stage: MattermostStage) -> None:
    cookies: list[str | None] = []

    def answer(request: Request) -> tuple[int, str, bytes]:
        cookies.append(request.headers.get("Cookie"))
        return 200, "application/json", b"{}"

    async with http_server(answer, cookie="MMAUTHTOKEN=stolen; Path=/") as url:
        adapter = MattermostAdapter(settings(stage, server_url=url))
        await adapter.check()
        await adapter.check()
        await adapter.close()
    assert len(cookies) >= 2
    assert set(cookies) == {None}

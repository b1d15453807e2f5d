"""Postgres is really away: whatever is asked over HTTP is answered at once with 503, and as before once it is back."""

from __future__ import annotations

import asyncio
import html
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest

from fleetprompt.accounts import Role, api_keys
from fleetprompt.composition import open_house
from fleetprompt.connectors.buttons import Context, signed
from fleetprompt.credentials import Secret
from fleetprompt.database.embedded import EmbeddedPostgres
from fleetprompt.kernel import clock
from tests import rolling, weather
from tests.database import reachable_directory
from tests.doors import free_port
from tests.house import ACME, embedded_house
from tests.members import address
from tests.people import PASSWORD, TELL, joins_with_password
from tests.town import Town, town
from tests.visiting import FIELD, Browser

pytestmark = pytest.mark.slow

PROMPTLY_S = 6.0  # a door may take five to store
SLASH = "sandboxsecret-slash-token"
WITHOUT_POSTGRES = {"login page": 200, "healthz": 200, "metrics": 200}
"""What is answered without looking anything up; everything else is 503."""
AS_EVER = {
    "home": 200,
    "account": 200,
    "login page": 200,
    "login": 303,
    "secret link": 404,
    "whoami": 200,
    "members": 200,
    "command": 200,
    "action": 200,
    "command of nobody": 401,
    "readyz": 200,
    "healthz": 200,
    "metrics": 200,
}

Asked = dict[str, tuple[str, str, dict[str, Any]]]


async def test_everything_is_503_at_once_while_postgres_is_away_and_as_before_when_it_is_back() -> None:
    with reachable_directory() as directory:
        server = EmbeddedPostgres(directory / "data", grace_s=0.2)
        async with town(house=embedded_house(server)) as play:
            port = free_port()
            with weather.running(play, program=rolling.serve_web, port=port) as web:
                async with rolling.watched(port):
                    pass
                async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
                    asked = await _requests(play, http)
                    assert _codes(await _answers(http, asked)) == AS_EVER
                    await play.house.database.engine.dispose()
                    await server.stop()
                    _require_clear(await _answers(http, asked))
                    await server.start()
                    await weather.until(lambda: _is_ready(http))
                    await _restarted_under(http, asked, server)
                    assert _codes(await _answers(http, asked)) == AS_EVER
                assert "raceback" not in web.log.read_text()


async def _requests(play: Town, http: httpx2.AsyncClient) -> Asked:
    """By name: a session's pages, a key's, the chat server's, anybody's. http: gets the cookies of a session."""
    installation, context, key = await _credentials(play)
    browser = Browser(http)
    await browser.see("/login")
    form = {name: html.unescape(value) for name, value in FIELD.findall(browser.page.text)}
    before = {"Cookie": "; ".join(f"{name}={value}" for name, value in http.cookies.items())}
    await browser.send("/login", email=address("Ada"), password=PASSWORD)
    assert browser.page.status_code == 200
    bearer = {"headers": {"Authorization": f"Bearer {key}"}}
    who = {"channel_id": play.support, "user_id": play.dana.id, "user_name": "dana"}
    command = {"data": {**who, "command": "/fleet", "text": "whoami", "token": SLASH}}
    action = {"json": {**who, "post_id": "x" * 26, "context": context}}
    login = {"data": {**form, "email": address("Ada"), "password": PASSWORD}, "headers": before}
    return {
        "home": ("GET", "/", {}),
        "account": ("GET", "/account", {}),
        "login page": ("GET", "/login", {"headers": before}),
        "login": ("POST", "/login", login),
        "secret link": ("GET", f"/secret/{'a' * 43}", {}),
        "whoami": ("GET", "/api/v1/whoami", bearer),
        "members": ("GET", "/api/v1/members", bearer),
        "command": ("POST", f"/webhooks/mattermost/{installation}/command", command),
        "action": ("POST", f"/webhooks/mattermost/{installation}/action", action),
        "command of nobody": ("POST", f"/webhooks/mattermost/{uuid4()}/command", command),
        "readyz": ("GET", "/readyz", {}),
        "healthz": ("GET", "/healthz", {}),
        "metrics": ("GET", "/metrics", {}),
    }


async def _restarted_under(http: httpx2.AsyncClient, asked: Asked, server: EmbeddedPostgres) -> None:
    """Three restarts while everything is asked again and again: connections are cut in the middle of a request."""
    seen: set[tuple[str, int]] = set()

    async def ask() -> None:
        while True:
            seen.update(_codes(await _answers(http, asked)).items())

    asking = [asyncio.create_task(ask()) for _ in range(2)]
    for _ in range(3):
        await asyncio.sleep(0.4)
        await server.restart()
    await weather.until(lambda: _is_ready(http))
    for task in asking:
        task.cancel()
    for ended in await asyncio.gather(*asking, return_exceptions=True):
        assert isinstance(ended, asyncio.CancelledError), ended
    assert seen <= {(name, code) for name, usual in AS_EVER.items() for code in (usual, 503)}


async def _credentials(play: Town) -> tuple[UUID, dict[str, Any], str]:
    """acme's installation with a slash token, what a button of it carries, and a key of Ada's."""
    ada = await joins_with_password(play.house, "Ada", Role.OWNER)
    installation: UUID = (await play.house.tenant_rows(ACME, "select id from installations"))[0][0]
    async with open_house(play.settings, role="cli", migrate=False) as house:
        vault = house.services.packages.vault
        tenant_key = await vault.key_of(ACME)
        async with house.tenancy.session(ACME) as session:
            await vault.store(session, installation, {"slash_token": Secret(SLASH)})
            made = await api_keys.create_key(
                session, TELL, ada.user_id, name="ci", scopes=["members:read"], days=1
            )
    carried = Context(
        says="whoami",
        installation=str(installation),
        directive=str(uuid4()),
        channel=play.support,
        until_ms=clock.now_ms() + 600_000,
    )
    return installation, signed(tenant_key, carried), made.token.reveal()


async def _answers(http: httpx2.AsyncClient, asked: Asked) -> dict[str, httpx2.Response]:
    answers = {}
    for name, (method, path, options) in asked.items():
        began_s = clock.monotonic_s()
        answers[name] = await http.request(method, path, **options)
        assert clock.monotonic_s() - began_s < PROMPTLY_S, name
    return answers


def _codes(answers: dict[str, httpx2.Response]) -> dict[str, int]:
    return {name: answer.status_code for name, answer in answers.items()}


def _require_clear(answers: dict[str, httpx2.Response]) -> None:
    """503 with what is wrong and what to do; machines get JSON, people a page."""
    assert _codes(answers) == {name: WITHOUT_POSTGRES.get(name, 503) for name in AS_EVER}
    for name, answer in answers.items():
        assert "raceback" not in answer.text, name
        if answer.status_code != 503:
            continue
        assert answer.headers["retry-after"], name
        if name == "readyz":
            assert answer.json()["reason"].startswith("Postgres does not answer.")
        elif name in ("home", "account", "login", "secret link"):
            assert "The database does not answer." in answer.text, name
            assert "Try again in a moment." in answer.text, name
        else:
            assert answer.json()["error"]["code"] == "unavailable", name
            assert "Try again in a moment." in answer.json()["error"]["message"], name


async def _is_ready(http: httpx2.AsyncClient) -> bool:
    return (await http.get("/readyz")).status_code == 200

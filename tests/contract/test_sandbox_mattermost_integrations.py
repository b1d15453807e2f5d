"""The sandbox calls integrations as the server does: on loopback alone, and with what it makes of their answers."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from fleetprompt.sandbox.loopback import LoopbackServer
from fleetprompt.sandbox.mattermost import ApiError, SandboxControl, SandboxMattermost
from fleetprompt.sandbox.mattermost.triggers import new_trigger, user_of
from fleetprompt.sandbox.messages import Answer, Request, Response, json_response


@dataclass
class Integration:
    """Answers every call with the same."""

    said: Any = field(default_factory=lambda: {"text": "pong"})
    status: int = 200
    called: list[Request] = field(default_factory=list)

    def answer(self, request: Request) -> Answer:
        self.called.append(request)
        if isinstance(self.said, bytes):
            return Response(self.status, self.said, content_type="text/plain")
        return json_response(self.status, self.said)

    def accept(self, request: Request) -> Response:
        return Response(404)


@dataclass
class Scene:
    """A team with one channel, in it dana and the bot; dana's command `/ping` and the bot's button."""

    server: SandboxMattermost
    integration: Integration
    url: str

    def buttons(self, url: str = "") -> dict[str, Any]:
        integration = {"url": url or self.url, "context": {"k": "v"}}
        actions = [{"id": "go", "name": "Go", "type": "button", "integration": integration}]
        return {"attachments": [{"text": "?", "actions": actions}]}


@asynccontextmanager
async def scene(state: Path | None = None) -> AsyncIterator[Scene]:
    integration = Integration()
    http = LoopbackServer(integration)
    await http.start()
    try:
        async with SandboxMattermost(state_path=state) as server:
            team = server.create_team("acme")
            server.create_channel(team, "support")
            for user in (server.create_user("dana"), server.create_user("fleet", is_bot=True)):
                server.add_to_channel(user, "support")
            server.create_user("eli")
            server.create_command("dana", team, "ping", http.url)
            yield Scene(server, integration, http.url)
    finally:
        await http.stop()


@pytest.mark.parametrize("host", ["192.0.2.1", "example.com", "0.0.0.0", "[2001:db8::1]"])
async def test_nobody_but_loopback_is_called(host: str) -> None:
    async with scene() as here:
        here.server.create_command("dana", "acme", "out", f"http://{host}:{here.url.rpartition(':')[2]}/")
        with pytest.raises(ApiError, match="failed"):
            await here.server.run_command("dana", "support", "/out")
        post = here.server.post("fleet", "support", "", props=here.buttons(f"http://{host}/"))
        with pytest.raises(ApiError, match="action_integration"):
            await here.server.press("dana", post, "go")
        assert here.integration.called == []


async def test_an_answer_is_for_its_writer_or_for_everybody() -> None:
    async with scene() as here:
        await here.server.run_command("dana", "support", "/ping")
        assert [post.message for post in here.server.shown_privately("dana")] == ["pong"]
        here.integration.said = {"response_type": "in_channel", "text": "pong, all"}
        await here.server.run_command("dana", "support", "/ping once more")
        [shown] = [post for post in here.server.posts("support") if not post.type]
        assert (shown.message, shown.user_id) == ("pong, all", here.server.user("dana").id)
        assert shown.props == {"from_webhook": "true"}
        here.integration.said = b"plain words"
        assert (await here.server.run_command("dana", "support", "/ping"))["text"] == "plain words"


async def test_a_command_that_is_none_or_whose_integration_fails_is_refused() -> None:
    async with scene() as here:
        for user, text, refusal in (
            ("dana", "/pong", "not_found"),
            ("eli", "/ping", "permissions"),
        ):
            with pytest.raises(ApiError, match=refusal):
                await here.server.run_command(user, "support", text)
        here.integration.status = 500
        with pytest.raises(ApiError, match="failed"):
            await here.server.run_command("dana", "support", "/ping")


async def test_a_late_answer_is_taken_five_times() -> None:
    async with scene() as here, httpx2.AsyncClient(trust_env=False) as client:
        await here.server.run_command("dana", "support", "/ping")
        form = dict(httpx2.QueryParams(here.integration.called[0].body.decode()))
        answers = [await client.post(form["response_url"], json={"text": f"late {n}"}) for n in range(6)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [400]
        assert [post.message for post in here.server.shown_privately("dana")][-1] == "late 4"
        assert (await client.post(form["response_url"][:-1], json={"text": "x"})).status_code == 404


async def test_what_a_button_answers_changes_its_post() -> None:
    """An update without props keeps the buttons, one without a message blanks the post (`shared/wire`)."""
    async with scene() as here:
        post = here.server.post("fleet", "support", "Go?", props=here.buttons())
        here.integration.said = {"ephemeral_text": "only you"}
        await here.server.press("dana", post, "go")
        assert here.server.shown_privately("dana")[-1].message == "only you"
        here.integration.said = {"update": {"message": "going"}}
        await here.server.press("dana", post, "go")
        assert (here.server.find_post(post).message, len(post.integrations)) == ("going", 1)
        here.integration.said = {"update": {"props": {}}}
        await here.server.press("dana", post, "go")
        assert (here.server.find_post(post).message, post.integrations) == ("", {})
        with pytest.raises(ApiError, match="action_id"):
            await here.server.press("dana", post, "go")
        other = here.server.post("fleet", "support", "Go?", props=here.buttons())
        here.integration.said = b""
        with pytest.raises(ApiError, match="action_integration"):
            await here.server.press("dana", other, "go")


async def test_commands_and_buttons_survive_a_restart_and_are_driven_from_another_process(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path / "state") as here:
        post = here.server.post("fleet", "support", "Go?", props=here.buttons())
        await here.server.restart()
        async with SandboxControl(here.server.url) as control:
            answer = await control.run_command("dana", "support", "/ping")
            assert answer["text"] == "pong"
            await control.press("dana", post.id, "go")
            assert [shown.message for shown in await control.shown_privately("dana")] == ["pong"]
            with pytest.raises(httpx2.HTTPStatusError, match="404"):
                await control.run_command("dana", "support", "/pong")


def test_a_trigger_is_good_for_three_seconds_and_for_whom_it_was_made() -> None:
    _, trigger = new_trigger("u" * 26, 1000)
    assert user_of(trigger, 4000) == "u" * 26
    forged = base64.b64encode(base64.b64decode(trigger).replace(b"u" * 26, b"v" * 26)).decode()
    for given, at_ms, refusal in (
        (trigger, 4001, "expired"),
        (forged, 2000, "signature"),
        (base64.b64encode(b"a:b").decode(), 2000, "missing_data"),
        ("bad", 2000, "base64"),
    ):
        with pytest.raises(ApiError, match=refusal):
            user_of(given, at_ms)

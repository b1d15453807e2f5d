"""The whole service in one process, with a chat, a mailbox and a model on loopback; whatever comes out is listened to."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import logging
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

from fleetprompt.composition import House as Composed
from fleetprompt.connectors.supervisor import Listener
from fleetprompt.kernel.errors import FleetPromptError
from fleetprompt.packages.house import House as Packages
from fleetprompt.runtime.jobs.worker import Worker
from fleetprompt.sandbox.mailbox import SandboxMailbox
from fleetprompt.sandbox.mattermost import SandboxMattermost
from fleetprompt.surfaces.api import api_routes
from fleetprompt.surfaces.pages import Front
from fleetprompt.surfaces.pages.routes import page_routes
from fleetprompt.surfaces.web import create_app, serve
from fleetprompt.telemetry import configure_logging
from tests.canaries import Canaries
from tests.house import ACME, House, fresh_house
from tests.openai_stub import OpenAIStub
from tests.people import quick_passwords
from tests.serving import service_settings
from tests.visiting import Browser
from webhooks.mattermost import mattermost_routes


@dataclass(slots=True)
class Scene:
    """The whole service in this process, with a chat, a mailbox and a model on loopback."""

    base: House
    composed: Composed
    chat: SandboxMattermost
    mailbox: SandboxMailbox
    model: OpenAIStub
    canaries: Canaries
    url: str
    browser: Browser
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def packages(self) -> Packages:
        return self.composed.services.packages

    @contextlib.contextmanager
    def refused(self, where: str) -> Any:
        """It fails with an error of ours, whose words are heard."""
        with pytest.raises(FleetPromptError) as error:
            yield
        self.canaries.hear(f"error: {where}", f"{error.value!r} {error.value} {error.value.__cause__!r}")

    async def rows(self, sql: str, *values: Any) -> list[Any]:
        return await self.base.tenant_rows(ACME, sql, *values)


@contextlib.asynccontextmanager
async def canary_scene() -> AsyncIterator[Scene]:
    """At its end nothing that came out may hold a canary: answers, prompts, posts, errors, the log."""
    canaries, log = Canaries(), io.StringIO()
    master = canaries.put("master key", base64.b64encode(os.urandom(32)).decode())
    model_key = canaries.put("model key", "canary-of-the-model-provider-9")
    before = logging.getLogger().level
    configure_logging("DEBUG", "json", log)
    async with (
        fresh_house() as base,
        SandboxMattermost() as chat,
        SandboxMailbox() as mailbox,
        OpenAIStub() as model,
    ):
        given = {
            "master_key": SecretStr(master),
            "model": "openai:test",
            "model_base_url": model.url,
            "model_api_key": SecretStr(model_key),
            "log_level": "DEBUG",
        }
        composed = Composed(service_settings(base.url, None, **given), base.database, base.tenancy, None)
        made = Scene(base, composed, chat, mailbox, model, canaries, "", Browser(httpx2.AsyncClient()))
        await made.browser.http.aclose()
        async with _served(made), _running(made):
            yield made
        await composed.services.close()
    _stop_logging(before)
    canaries.hear("log", log.getvalue())
    assert "package.install.completed" in log.getvalue()  # it was heard
    assert canaries.found() == []


def _stop_logging(before: int) -> None:
    for handler in [one for one in logging.getLogger().handlers if getattr(one, "is_fleetprompt", False)]:
        logging.getLogger().removeHandler(handler)
    logging.getLogger().setLevel(before)


@contextlib.asynccontextmanager
async def _served(scene: Scene) -> AsyncIterator[None]:
    """All pages and doors; each answer is heard."""
    front = Front(scene.packages, quick_passwords(), scene.composed.settings.public_address)
    app = create_app(_ready, [page_routes(front), api_routes(front), *mattermost_routes(scene.packages)])
    stop, ports = asyncio.Event(), asyncio.Queue[int]()
    running = asyncio.ensure_future(serve(app, "127.0.0.1", 0, stop, lambda _, port: ports.put_nowait(port)))

    async def hear(answer: httpx2.Response) -> None:
        head = {name: value for name, value in answer.headers.items() if name != "set-cookie"}
        scene.canaries.hear("HTTP", f"{head} {(await answer.aread()).decode()}")

    scene.url = f"http://127.0.0.1:{await ports.get()}"
    try:
        async with httpx2.AsyncClient(base_url=scene.url, event_hooks={"response": [hear]}) as http:
            scene.browser = Browser(http)
            yield
    finally:
        stop.set()
        await running


async def _ready() -> str | None:
    return None


@contextlib.asynccontextmanager
async def _running(scene: Scene) -> AsyncIterator[None]:
    stop, services = asyncio.Event(), scene.composed.services
    tasks = [
        asyncio.create_task(
            Worker(scene.base.tenancy, services.registry, scene.composed.settings).serve(stop)
        ),
        asyncio.create_task(Listener(services.packages, services.connectors.bindings).serve(stop)),
    ]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*tasks)

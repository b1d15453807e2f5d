"""Bad days for the whole service: it runs in a process of its own, with a model on loopback that repeats what it was
asked, and must neither die nor complain of what it does not understand."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from adapters.mattermost.settings import MattermostSettings, Pace
from fleetprompt import listener, worker
from fleetprompt.composition import open_house
from fleetprompt.connectors.mattermost import binding
from fleetprompt.settings import Settings
from tests import killing
from tests.openai_stub import OpenAIStub
from tests.town import Town, town

PATIENT = {"lease_s": 5.0, "heartbeat_s": 0.5}
"""Nobody dies here, and a busy machine must not make a job look orphaned."""


@dataclass
class Service:
    """The process, and what it logged at WARNING and above. expected: events that may be errors on this day."""

    process: ForkServerProcess
    log: Path
    expected: set[str] = field(default_factory=set)

    def lines(self) -> list[dict[str, Any]]:
        """Its log so far; what is no JSON (a warning, a crash) as {"event": the line}."""
        return [_parsed(line) for line in self.log.read_text(errors="replace").splitlines() if line.strip()]

    def complaints(self) -> list[dict[str, Any]]:
        """Errors that nobody expects."""
        bad = [line for line in self.lines() if line.get("level") in (None, "error", "critical")]
        return [line for line in bad if line["event"] not in self.expected]


def _parsed(line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        value = None
    return value if isinstance(value, dict) and "event" in value else {"event": line}


async def serve(settings: dict[str, Any], log: str, pace: dict[str, Any]) -> None:
    """Worker and listener until killed, all output into a file. pace: `Pace` of its Mattermost connections."""
    vars(binding)["MattermostSettings"] = partial(MattermostSettings, pace=Pace(**pace))
    write_to(log)
    async with open_house(Settings.model_validate(settings), role="up", migrate=False) as house:
        never = asyncio.Event()
        await asyncio.gather(worker.serve(house, never), listener.serve(house, never))


def write_to(log: str) -> None:
    """All output of this process into a file."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(descriptor, stream.fileno())


@contextlib.contextmanager
def running(
    play: Town,
    *,
    fault: str = "",
    pace: Mapping[str, Any] | None = None,
    program: killing.Program = serve,
    **settings: object,
) -> Iterator[Service]:
    """The service; at the end it must still live (unless a fault point was armed) and have nothing to complain of.

    program: what is run, called as `serve`.
    """
    patience = {} if fault else PATIENT
    values = play.settings.model_dump() | {"log_level": "WARNING", "log_format": "json"} | patience | settings
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "log"
        with killing.running(program, values, str(log), dict(pace or {}), fault=fault) as process:
            service = Service(process, log)
            yield service
            if not fault:
                assert process.exitcode is None, f"the service died: {service.lines()}"
            complaints = service.complaints()
            assert complaints == [], complaints


@contextlib.asynccontextmanager
async def stormy_town(**options: Any) -> AsyncIterator[tuple[Town, OpenAIStub]]:
    """A town whose agent's model repeats the request, so that each answer tells what it answers. options: as `town`."""
    async with OpenAIStub() as stub:
        model: dict[str, Any] = {
            "model": "openai:test",
            "model_base_url": stub.url,
            "model_api_key": "sandboxsecret-model-key",
        }
        async with town(**model, **options) as play:
            yield play, stub


async def until(holds: Callable[[], Any], timeout_s: float = 20) -> Any:
    """Poll a plain or async function until it gives something true; returns that. Raises TimeoutError."""
    async with asyncio.timeout(timeout_s):
        while True:
            found = holds()
            if isinstance(found, Awaitable):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.03)


async def connected(play: Town, count: int = 1, timeout_s: float = 10) -> None:
    """Wait until so many websockets of bots stand."""
    hub = play.chat.site.hub
    await until(
        lambda: sum(any(s.socket for s in own.values()) for own in hub.sessions.values()) >= count, timeout_s
    )


def said(play: Town, channel: str = "", *, by: str = "") -> list[tuple[str, str]]:
    """(thread, text) of what the bot wrote, in order."""
    wanted = by or play.bot.id
    posts = play.chat.posts(channel or None)
    return [(post.root_id, post.message) for post in posts if post.user_id == wanted and not post.type]


async def heard(play: Town, count: int, timeout_s: float = 20) -> None:
    """Wait until the bot has written so many posts, and a moment longer, in which nothing more may come."""
    await until(lambda: len(said(play)) >= count, timeout_s)
    await asyncio.sleep(0.15)
    assert len(said(play)) == count, said(play)

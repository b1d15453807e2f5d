"""Where it happens: a Mattermost, an order desk and a model in this process, a database, and two organizations."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from fleetprompt.composition import open_house
from fleetprompt.database.embedded import EmbeddedPostgres, ServerAddress
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.kernel.secret import Secret
from fleetprompt.packages.inline import run_now
from fleetprompt.packages.lifecycle import install
from fleetprompt.runtime.agents.manage import create_agent
from fleetprompt.sandbox.mattermost import SandboxMattermost, SandboxUser
from fleetprompt.sandbox.order_desk import OrderDesk
from fleetprompt.settings import Settings
from fleetprompt.tenancy.organizations import create_organization
from tests.chaos.brokers import BROKERS, Broker
from tests.chaos.plan import CHANNELS, PEOPLE, TENANTS, Mention, Round
from tests.database import reachable_directory
from tests.openai_stub import OpenAIStub, Reply
from tests.small_disk import small_disk
from tests.stage import OPERATOR

DISK_MB = 600
LIMITS = {"runs_per_person_per_hour": 1_000_000, "call_timeout_s": 8.0, "max_cost_usd": "1000"}
TOKEN = re.compile(r"\bm(\d+)m\b")


def token(number: int) -> str:
    """The word by which an answer names its question."""
    return f"m{number}m"


class Thinker:
    """The model's side: it answers with the token of the question, and calls a tool where the question asks for it."""

    def __init__(self, stub: OpenAIStub) -> None:
        self.url = stub.url
        self.resets = 0
        self._silent_until_s = 0.0
        self._stub = stub
        stub.rule(self._reply)

    def fall_silent(self, seconds: float) -> None:
        """Accept and say nothing; who asked meanwhile never hears."""
        self._silent_until_s = time.monotonic() + seconds

    def _reply(self, request: dict[str, Any]) -> Reply:
        self._stub.requests.clear()  # nobody reads them here, and there are many
        if time.monotonic() < self._silent_until_s:
            return Reply.hangs()
        if self.resets > 0:
            self.resets -= 1
            return Reply.resets()
        messages = request["messages"]
        asked = next(text for text in map(_text, reversed(messages)) if TOKEN.search(text))
        call = re.search(r"call (\w+) (\{.*?\})", asked)
        if call and messages[-1]["role"] != "tool":
            return Reply.calls((call[1], call[2]))
        return Reply.says(f"Here is your answer: {token(int(TOKEN.findall(asked)[-1]))}.")


def _text(message: dict[str, Any]) -> str:
    """Of a person's message; what the assistant or a tool said names tokens too."""
    if message["role"] != "user":
        return ""
    content = message.get("content")
    return content if isinstance(content, str) else json.dumps(content)


@dataclass
class Place:
    """Everything but the service."""

    chat: SandboxMattermost
    desk: OrderDesk
    model: Thinker
    server: EmbeddedPostgres
    address: ServerAddress
    data_dir: Path
    has_small_disk: bool
    broker: Broker | None
    bots: dict[str, SandboxUser] = field(default_factory=dict)
    channels: dict[tuple[str, str], str] = field(default_factory=dict)

    def environment(self, chaos: Round) -> dict[str, str]:
        """What the service's processes get."""
        beat_s = chaos.lease_s / 3
        values: dict[str, object] = {
            "DATA_DIR": self.data_dir,
            "ORDER_DESK_URL": self.desk.url,
            "MODEL": "openai:test",
            "MODEL_BASE_URL": self.model.url,
            "MODEL_API_KEY": "k",
            "LEASE_S": chaos.lease_s,
            "HEARTBEAT_S": beat_s,
            "REAP_EVERY_S": beat_s / 2,
            "LOG_LEVEL": "INFO",
            "LOG_FORMAT": "json",
        }
        if self.broker is not None:
            values["BROKER_URL"] = self.broker.url
        return {f"FLEETPROMPT_{name}": str(value) for name, value in values.items()}

    def ask(self, mention: Mention, roots: dict[int, str]) -> str:
        """A person writes; returns the post's id."""
        words = f"@{self.bots[mention.tenant].username} {token(mention.number)}"
        if mention.hold:
            arguments = json.dumps({"number": mention.hold, "reason": token(mention.number)})
            words += f" call orders_hold {arguments}"
        root_id = "" if mention.thread is None else roots[mention.thread]
        channel = self.channels[mention.tenant, mention.channel]
        post = self.chat.post(f"{mention.person}-{mention.tenant}", channel, words, root_id=root_id)
        return post.id


@contextlib.asynccontextmanager
async def open_place(chaos: Round) -> AsyncIterator[Place]:
    """Far sides served, database up, both organizations installed."""
    async with contextlib.AsyncExitStack() as stack:
        work = stack.enter_context(reachable_directory("fleetprompt-chaos-"))
        data_dir, is_small = stack.enter_context(_disk(work / "data"))
        server = EmbeddedPostgres(data_dir, settings={"max_wal_size": "64MB"}, grace_s=3.0)
        stack.push_async_callback(server.stop)
        broker = await _broker(chaos, work, stack)
        chat = await stack.enter_async_context(SandboxMattermost())
        desk = await stack.enter_async_context(OrderDesk())
        stub = await stack.enter_async_context(OpenAIStub())
        address = await server.start()
        place = Place(chat, desk, Thinker(stub), server, address, data_dir, is_small, broker)
        await _move_in(place)
        yield place


async def _broker(chaos: Round, work: Path, stack: contextlib.AsyncExitStack) -> Broker | None:
    if chaos.transport == "postgres":
        return None
    broker = BROKERS[chaos.transport](work / "broker")
    stack.push_async_callback(broker.stop)
    await broker.start()
    return broker


@contextlib.contextmanager
def _disk(at: Path) -> Iterator[tuple[Path, bool]]:
    """A disk of our own, which can be filled; a mere directory where mounting is not allowed."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(small_disk(at, DISK_MB))
        except pytest.skip.Exception:
            yield at, False
        else:
            yield at, True


async def _move_in(place: Place) -> None:
    settings = Settings(
        data_dir=place.data_dir,
        order_desk_url=place.desk.url,
        model="openai:test",
        model_base_url=place.model.url,
        model_api_key=SecretStr("sandboxsecret-model-key"),
        log_level="CRITICAL",
    )
    for tenant in TENANTS:
        _furnish(place, tenant)
    async with open_house(settings, role="cli") as house:
        for tenant in map(TenantSlug, TENANTS):
            await create_organization(house.database, tenant)
            async with house.tenancy.session(tenant) as session:
                tools = sorted(house.registry.tools)
                await create_agent(session, house.registry, "fleet", OPERATOR, tools=tools, limits=LIMITS)
            asked = await install(
                house.services.packages,
                tenant,
                "mattermost",
                config={"server_url": place.chat.url, "team": tenant},
                secrets={"bot_token": Secret(place.bots[tenant].token)},
                actor=OPERATOR,
            )
            ended = await run_now(house.services.packages, tenant, asked.directive_id, 30)
            assert ended.state == "succeeded", ended


def _furnish(place: Place, tenant: str) -> None:
    """A team with its channels, people and bot."""
    chat = place.chat
    team = chat.create_team(tenant)
    bot = place.bots[tenant] = chat.create_user(f"fleet-{tenant}", is_bot=True)
    members = [bot, *(chat.create_user(f"{name}-{tenant}") for name in PEOPLE)]
    for name in CHANNELS:
        channel = chat.create_channel(team, name)
        place.channels[tenant, name] = channel.id
        for member in members:
            chat.add_to_team(member, team)
            chat.add_to_channel(member, channel)

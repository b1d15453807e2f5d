"""A stage for runs: a tenant with a chat, an agent with two tools, a worker, and a model on loopback.

The chat is a list in this process: what was posted, in order. The far side of the tools is a list too.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from pydantic import BaseModel, SecretStr
from sqlalchemy import select

from fleetprompt.kernel.ids import TenantSlug, new_id
from fleetprompt.model import Conversation, Directive, Execution, Installation, Message
from fleetprompt.runtime.agents.manage import create_agent
from fleetprompt.runtime.directives import Absent, Delivered, DirectiveType, EffectTry, Outcome
from fleetprompt.runtime.jobs.worker import Worker
from fleetprompt.runtime.llm import Endpoint, ModelBoundary
from fleetprompt.runtime.register import register_runtime
from fleetprompt.runtime.registry import Channel, Registry
from fleetprompt.runtime.signals import Actor, NewSignal, emit
from fleetprompt.runtime.tools import SideEffect, Tool, ToolContext, ToolFailure
from fleetprompt.settings import Settings
from fleetprompt.tenancy import TenantSession
from tests.house import ACME, House, fresh_house
from tests.openai_stub import OpenAIStub

SERVER = "https://chat.acme.example"
# The first call of a model imports for a second or two, and a lease lasts no longer here.
importlib.import_module("fleetprompt.runtime.llm.wire")
importlib.import_module("fleetprompt.runtime.llm.sdk_openai")
QUICK = Settings(lease_s=1.0, heartbeat_s=0.3, reap_every_s=0.3, poll_every_s=0.2, shutdown_grace_s=0.5)
OPERATOR = Actor("human", "cli:tester", "tester")


class Post(BaseModel):
    """Arguments of the chat's directive."""

    conversation_id: UUID
    text: str


class Lookup(BaseModel):
    """Arguments of `orders.lookup`."""

    number: str


class Hold(BaseModel):
    """Arguments of `orders.hold`."""

    number: str
    reason: str = ""


@dataclass
class Ledger:
    """What the outside saw, in order."""

    entries: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def plan(self, session: TenantSession, directive: Directive) -> Sequence[dict[str, Any]]:
        return [dict(directive.arguments)]

    async def perform(self, effect: EffectTry) -> Outcome:
        self.entries.append((effect.key, dict(effect.request)))
        self.arrived.set()
        return Delivered({"external_id": effect.key})

    async def look_up(self, effect: EffectTry) -> Delivered | Absent:
        return Delivered({}) if effect.key in [key for key, _ in self.entries] else Absent()

    async def wait_for(self, count: int, timeout_s: float = 60) -> list[str]:
        """The texts seen, once there are so many."""
        async with asyncio.timeout(timeout_s):
            while len(self.entries) < count:
                self.arrived.clear()
                await self.arrived.wait()
        return [str(request.get("text", "")) for _, request in self.entries]


@dataclass
class Stage:
    """What a test plays on."""

    house: House
    registry: Registry
    stub: OpenAIStub
    chat: Ledger
    holds: Ledger
    installation_id: UUID
    looked_up: list[str]

    async def says(self, text: str, *, thread: str = "t1", at_ms: int = 1000, **more: Any) -> UUID:
        """A person writes; returns the signal's id."""
        async with self.house.tenancy.session(ACME) as session:
            conversation = await self._conversation(session, thread)
            external_id = more.pop("external_id", f"m{at_ms}")
            payload = _payload(text, external_id, thread, at_ms, **more)
            session.add(_message(self.installation_id, conversation.id, payload))
            new = NewSignal(
                "chat.message.received",
                payload,
                Actor("human", payload["author"]["id"]),
                dedupe_key=external_id,
                installation_id=self.installation_id,
                conversation_id=conversation.id,
                lane=f"conversation:{conversation.id}",
                position=at_ms,
            )
            return (await emit(session, self.registry, new)).id

    async def _conversation(self, session: TenantSession, thread: str) -> Conversation:
        found = await session.scalar(select(Conversation).where(Conversation.thread_id == thread))
        if found is not None:
            return found
        made = Conversation(
            id=new_id(), installation_id=self.installation_id, channel_id="c", thread_id=thread
        )
        made.channel_kind, made.channel_name = "public", "support"
        session.add(made)
        await session.flush()
        return made

    async def project_answers(self) -> None:
        """Store what was posted as messages of the conversation, as a connector does."""
        async with self.house.tenancy.session(ACME) as session:
            for number, (key, request) in enumerate(self.chat.entries):
                said = _message(
                    self.installation_id, UUID(request["conversation_id"]), _said(key, request, number)
                )
                said.directive_id = UUID(key.split(".")[0])
                session.add(said)

    async def executions(self, tenant: TenantSlug = ACME) -> list[Execution]:
        """All runs, oldest first."""
        async with self.house.tenancy.session(tenant) as session:
            return list(await session.scalars(select(Execution).order_by(Execution.id)))

    async def directives(self) -> list[Directive]:
        """All directives, oldest first."""
        async with self.house.tenancy.session(ACME) as session:
            return list(await session.scalars(select(Directive).order_by(Directive.id)))

    async def run_in_state(self, *states: str, timeout_s: float = 60) -> Execution:
        """The newest run, once it is in one of these states."""
        async with asyncio.timeout(timeout_s):
            while True:
                runs = await self.executions()
                if runs and runs[-1].state in states:
                    return runs[-1]
                await asyncio.sleep(0.03)


@contextlib.asynccontextmanager
async def stage(
    *, model: str = "openai:test", fallback: str | None = None, working: bool = True, **agent: Any
) -> AsyncIterator[Stage]:
    """A stage with the agent `fleet`; agent: its values, such as limits and policies."""
    async with fresh_house() as house, OpenAIStub() as stub:
        registry = Registry()
        looked_up: list[str] = []
        chat, holds = Ledger(), Ledger()
        key = SecretStr("sandboxsecret-model-key")
        second = Endpoint(fallback, stub.url, key) if fallback else None
        models = ModelBoundary(Endpoint(model, None if model == "builtin" else stub.url, key), second)
        register_runtime(registry, models, QUICK)
        _register_chat(registry, chat)
        _register_tools(registry, holds, looked_up)
        async with house.tenancy.session(ACME) as session:
            installation = _installation()
            session.add(installation)
            tools = ["orders.lookup", "orders.hold"]
            await create_agent(session, registry, "fleet", OPERATOR, **{"tools": tools, **agent})
        actors = Stage(house, registry, stub, chat, holds, installation.id, looked_up)
        async with running_worker(actors) if working else contextlib.nullcontext():
            yield actors
        await models.close()


@contextlib.asynccontextmanager
async def running_worker(actors: Stage) -> AsyncIterator[None]:
    """A worker of this process."""
    stop = asyncio.Event()
    worker = asyncio.create_task(Worker(actors.house.tenancy, actors.registry, QUICK).serve(stop))
    try:
        yield
    finally:
        stop.set()
        await worker


def _installation() -> Installation:
    return Installation(
        id=new_id(),
        package="testchat",
        version="1.0.0",
        name="",
        state="installed",
        config={},
        account={},
        start_at_ms=0,
        generation=1,
    )


def _register_chat(registry: Registry, chat: Ledger) -> None:
    registry.add_directive(DirectiveType("testchat.post", "Post in the test's chat.", Post, chat))

    def arguments(conversation: Conversation, text: str) -> dict[str, Any]:
        return {
            "conversation_id": str(conversation.id),
            "text": text,
        }

    registry.add_channel(Channel("testchat", "testchat.post", arguments, server_key=lambda _: SERVER))


def _register_tools(registry: Registry, holds: Ledger, looked_up: list[str]) -> None:
    async def look_up(context: ToolContext, arguments: Lookup) -> dict[str, str]:
        looked_up.append(arguments.number)
        if arguments.number == "404":
            raise ToolFailure("There is no order 404.")
        return {"number": arguments.number, "status": "delayed"}

    registry.add_directive(DirectiveType("orders.hold", "Put an order on hold.", Hold, holds))
    registry.add_tool(
        Tool("orders.lookup", "Look an order up.", Lookup, "orders:read", run=look_up, taints=False)
    )
    registry.add_tool(
        Tool(
            "orders.hold",
            "Put an order on hold.",
            Hold,
            "orders:write",
            side_effect=SideEffect.REVERSIBLE,
            directive="orders.hold",
            taints=False,
        )
    )


def _payload(text: str, external_id: str, thread: str, at_ms: int, **more: Any) -> dict[str, Any]:
    return {
        "external_id": external_id,
        "author": {"id": "u1", "kind": "person", "name": "dana"},
        "place": {
            "channel_id": "c",
            "channel_kind": "public",
            "channel_name": "support",
            "thread_id": thread,
        },
        "text": text,
        "request": text,
        "addressed": True,
        "allowed_automation": False,
        "sent_at_ms": at_ms,
        **more,
    }


def _said(key: str, request: dict[str, Any], number: int) -> dict[str, Any]:
    author = {"id": "bot", "kind": "self", "name": "fleet"}
    return _payload(request["text"], key, "t1", 5000 + number, author=author)


def _message(installation_id: UUID, conversation_id: UUID, payload: dict[str, Any]) -> Message:
    return Message(
        id=new_id(),
        conversation_id=conversation_id,
        installation_id=installation_id,
        external_id=payload["external_id"],
        author_kind=payload["author"]["kind"],
        author_id=payload["author"]["id"],
        author_name=payload["author"]["name"],
        text=payload["text"],
        sent_at_ms=payload["sent_at_ms"],
    )

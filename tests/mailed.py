"""A house whose tenant acme has a mailbox on a sandbox Bridge; globex stands by and must see nothing."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any, cast
from uuid import UUID

from fleetprompt.composition import open_house
from fleetprompt.connectors.proton_mail.binding import PASSWORD
from fleetprompt.connectors.register import Connectors, register_connectors
from fleetprompt.connectors.supervisor import Listener
from fleetprompt.kernel.ids import DirectiveId, TenantSlug
from fleetprompt.kernel.secret import Secret
from fleetprompt.model import Installation
from fleetprompt.packages.house import House
from fleetprompt.packages.inline import run_now
from fleetprompt.packages.lifecycle import install
from fleetprompt.packages.publishing import publish_first_party
from fleetprompt.packages.register import register_packages
from fleetprompt.runtime.agents.manage import create_agent
from fleetprompt.runtime.directives import decide
from fleetprompt.runtime.jobs.worker import Worker
from fleetprompt.sandbox.mailbox import SandboxMailbox
from fleetprompt.sandbox.mailbox.records import PASSWORD as BRIDGE_PASSWORD
from fleetprompt.sandbox.mailbox.records import Submission
from tests.connected import OPERATOR, build_house, until, working
from tests.house import ACME, GLOBEX, fresh_house
from tests.house import House as Base
from tests.mail_stage import DANA, FLEET, mail
from tests.serving import MASTER_KEY, service_settings

QUICK = {"poll_s": 0.3, "look_up_s": 0.3, "retry_delay_s": 0.1}


@dataclass(slots=True)
class Post:
    """A house, its mailbox, and what leaves it."""

    base: Base
    house: House
    connectors: Connectors
    server: SandboxMailbox

    def config(self, address: str = FLEET, **config: Any) -> dict[str, Any]:
        """Settings of an account on the sandbox."""
        return {
            "username": address,
            "imap_port": self.server.imap.port,
            "smtp_port": self.server.smtp.port,
            "certificate": self.server.certificate_pem,
            "since": "2020-01-01",
            **QUICK,
            **config,
        }

    async def install(
        self, address: str = FLEET, *, tenant: TenantSlug = ACME, name: str = "", **config: Any
    ) -> Installation:
        """By the installer, as a person does it."""
        self.server.create_account(address)
        asked = await install(
            self.house,
            tenant,
            "proton-mail",
            config=self.config(address, **config),
            secrets={PASSWORD: Secret(BRIDGE_PASSWORD)},
            actor=OPERATOR,
            name=name,
        )
        ended = await run_now(self.house, tenant, asked.directive_id, 20)
        assert ended.succeeded, ended
        async with self.house.tenancy.session(tenant) as session:
            return await session.get_one(Installation, asked.installation_id)

    def writes(self, text: str = "Where is my order 1042?", *, to: str = FLEET, **words: Any) -> str:
        """A customer writes; returns the Message-ID. words: as of `mail_stage.mail`."""
        raw = mail(text, to=to, **words)
        self.server.deliver(to, raw)
        return str(message_from_bytes(raw)["Message-ID"])

    def sent(self) -> list[Submission]:
        """What left for its recipients."""
        return [one for one in self.server.submissions if one.sent is not None]

    async def rows(self, query: str, *values: Any, tenant: TenantSlug = ACME) -> Any:
        """Of the tenant's tables."""
        return await self.base.tenant_rows(tenant, query, *values)

    async def signals(self, name: str, count: int = 1, tenant: TenantSlug = ACME) -> Any:
        """The signals of a name, oldest first, once there are so many."""

        async def there() -> Any:
            found = await self.rows("select * from signals where name = $1 order by id", name, tenant=tenant)
            return found if len(found) >= count else None

        return await until(there, 30)

    async def directive(self, *states: str, nth: int = 0) -> Any:
        """The nth `email.send`, once it is in one of these states."""

        async def there() -> Any:
            found = await self.rows("select * from directives where name = 'email.send' order by id")
            return found[nth] if len(found) > nth and found[nth]["state"] in states else None

        return await until(there, 30)

    async def mails(self, count: int) -> list[Submission]:
        """What was sent, once it is so many."""

        async def there() -> Any:
            return self.sent() if len(self.sent()) >= count else None

        return cast(list[Submission], await until(there, 30))

    async def quiet(self) -> None:
        """No job is left."""

        async def over() -> bool:
            return not await self.base.value("select count(*) from public.job where kind not like '%.%ire'")

        await until(over, 30)

    async def nothing_at_globex(self) -> None:
        """Whatever happened, it happened to acme."""
        for table in ("signals", "directives", "executions", "messages", "mail_names", "mail_chunks"):
            assert not await self.rows(f"select 1 from {table}", tenant=GLOBEX), table


def read(raw: bytes) -> EmailMessage:
    """A mail, parsed."""
    return message_from_bytes(raw, policy=default)


def header_lines(raw: bytes, name: str) -> str:
    """A header's value as it stands on the wire, with its folds."""
    head = raw.partition(b"\r\n\r\n")[0].decode("ascii")
    lines = head.split("\r\n")
    start = next(number for number, line in enumerate(lines) if line.lower().startswith(f"{name.lower()}:"))
    end = start + 1
    while end < len(lines) and lines[end][:1] in (" ", "\t"):
        end += 1
    return "\r\n".join(lines[start:end]).partition(": ")[2]


async def edit_and_approve(url: str, directive_id: UUID, text: str) -> None:
    """As a person does it, one after the other; in a process of its own, to be killed."""
    async with open_house(service_settings(url, None), role="cli", migrate=False) as house:
        for verb, words in ((decide.edit, ({"text": text},)), (decide.approve, ())):
            async with house.tenancy.session(ACME) as session:
                await verb(session, house.registry, DirectiveId(directive_id), OPERATOR, *words)


@contextlib.asynccontextmanager
async def post_office(**settings: Any) -> AsyncIterator[Post]:
    """Two tenants, an agent in acme, a Bridge, no installation yet; neither worker nor listener runs."""
    async with fresh_house() as base, SandboxMailbox() as server:
        house = build_house(base, key=base64.b64decode(MASTER_KEY), **settings)
        register_packages(house)
        connectors = register_connectors(house)
        assert await publish_first_party(base.database) == []
        async with house.tenancy.session(ACME) as session:
            await create_agent(session, house.registry, "fleet", OPERATOR)
        try:
            yield Post(base, house, connectors, server)
        finally:
            await connectors.close()


@contextlib.asynccontextmanager
async def serving(post: Post) -> AsyncIterator[Worker]:
    """A worker and a listener in this process."""
    async with working(post.house) as worker, hearing(post):
        yield worker


@contextlib.asynccontextmanager
async def hearing(post: Post) -> AsyncIterator[Listener]:
    """A listener in this process."""
    listener, stop = Listener(post.house, post.connectors.bindings), asyncio.Event()
    task = asyncio.create_task(listener.serve(stop))
    try:
        yield listener
    finally:
        stop.set()
        await task


__all__ = ["DANA", "FLEET", "UUID"]

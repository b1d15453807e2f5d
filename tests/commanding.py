"""A chat in which people command: olga owns acme, mia is a plain member, nobody knows sam; globex stands by."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from fleetprompt.accounts import Role, identities
from fleetprompt.accounts.change import add_member
from fleetprompt.kernel.ids import TenantSlug, new_id
from fleetprompt.model import Installation
from fleetprompt.packages.commands.asked import Asked
from fleetprompt.packages.commands.obey import obey
from fleetprompt.packages.house import House
from fleetprompt.runtime.jobs import claim
from fleetprompt.runtime.jobs.run import run_job
from fleetprompt.runtime.people import fact_teller, membership_teller
from fleetprompt.runtime.signals import Actor
from fleetprompt.sandbox.mattermost import SandboxUser
from tests.connected import OPERATOR, Stage, connected_house, listening, until, working
from tests.house import ACME, GLOBEX

CODE = re.compile(r"confirm (P-[2-9A-Z]{4})")
LINK = re.compile(r"https?://\S+/secret/(\S+)")


@dataclass(slots=True)
class Office:
    """The stage, its chat's installation, and who writes there. users: by name, those whom we know."""

    stage: Stage
    installation: Installation
    olga: SandboxUser
    mia: SandboxUser
    sam: SandboxUser
    users: dict[str, UUID]

    def asked(
        self,
        said: str,
        by: SandboxUser | None = None,
        *,
        key: str = "",
        direct: bool = False,
        conversation_id: UUID | None = None,
        certain: bool = True,
        tenant: TenantSlug = ACME,
    ) -> Asked:
        """A request by the slash door."""
        who = by or self.olga
        return Asked(
            tenant,
            self.installation.id,
            "mattermost",
            self.server_key,
            who.id,
            who.username,
            conversation_id,
            said,
            key or f"test:{new_id()}",
            direct,
            certain,
        )

    @property
    def server_key(self) -> str:
        """As the channel spells it."""
        spell = self.stage.house.registry.channels["mattermost"].server_key
        assert spell is not None
        return spell(self.installation.config)

    @property
    def said(self) -> list[str]:
        """All that the bot posted."""
        return self.stage.bot_posts()

    async def says(self, text: str, by: SandboxUser | None = None, **more: object) -> str:
        """Obey at once, without a chat; returns the answer."""
        return await obey(self.stage.house, self.asked(text, by, **more))  # type: ignore[arg-type]

    async def code(self, text: str, by: SandboxUser | None = None, **more: object) -> str:
        """The code of the plan that a text leads to."""
        return code_in(await self.says(text, by, **more))

    async def answered(self, said: str, patience_s: float = 15) -> str:
        """What the bot posted, once some post holds this."""

        async def found() -> str | None:
            return next((text for text in reversed(self.said) if said in text), None)

        answer: str = await until(found, patience_s)
        return answer

    async def drain(self) -> None:
        """Do what is due, here."""
        await drain(self.stage.house)

    async def one(self, sql: str, tenant: TenantSlug = ACME) -> Any:
        """The only row."""
        [row] = await self.stage.base.tenant_rows(tenant, sql)
        return row

    async def link_for(self, user: SandboxUser) -> str:
        """The token of the newest link that the bot sent to somebody alone."""

        async def found() -> str | None:
            channel = self.stage.server.direct_channel(self.stage.bot, user)
            texts = [post.message for post in self.stage.server.posts(channel.id)]
            tokens = [found[1] for text in texts if (found := LINK.search(text))]
            return tokens[-1] if tokens else None

        token: str = await until(found)
        return token

    async def tables_with(self, word: str) -> list[str]:
        """Those of acme in which a word stands."""
        found = "select tablename as name from pg_tables where schemaname = 'org_acme'"
        names = [row["name"] for row in await self.stage.base.tenant_rows(ACME, found)]
        holds = "select 1 from {} t where to_jsonb(t)::text like '%' || $1 || '%'"
        return [name for name in names if await self.stage.base.tenant_rows(ACME, holds.format(name), word)]

    async def nothing_of_globex(self) -> None:
        """The other tenant saw nothing."""
        for table in ("plans", "directives", "signals", "installations", "secret_links"):
            rows = await self.stage.base.tenant_rows(GLOBEX, f"select 1 from {table}")
            assert rows == [], table


async def drain(house: House, *, kinds: str = "%") -> None:
    """Run what is due, and what follows from it, in this process; what waits for its time stays."""
    due = (
        "select id, attempt from public.job where kind like :kinds and state in ('available', 'dispatched')"
        " and scheduled_at <= now() order by id limit 1"
    )
    worker = f"drain:{new_id().hex}"
    while True:
        async with house.tenancy.database.session() as session:
            row = (await session.execute(text(due), {"kinds": kinds})).one_or_none()
        if row is None:
            return
        job = await claim.claim_one(
            house.tenancy.database, worker, row[0], row[1], house.settings.lease_s, at_rest_too=True
        )
        if job is not None:
            await run_job(house.tenancy, house.registry.jobs, worker, job)


def code_in(text: str) -> str:
    """The code that a plan ends with."""
    found = CODE.search(text)
    assert found is not None, text
    return found[1]


@contextlib.asynccontextmanager
async def office(key: bytes | None = None) -> AsyncIterator[Office]:
    """The chat is installed; nothing runs. key: see `connected_house`."""
    async with connected_house(key) as stage:
        installation = await stage.adopt()
        people = {name: stage.server.create_user(name) for name in ("olga", "mia", "sam")}
        for one in people.values():
            stage.server.add_to_channel(one, stage.support)
        made = Office(stage, installation, **people, users={})
        await _employ(made, "olga", Role.OWNER)
        await _employ(made, "mia", Role.MEMBER)
        yield made


@contextlib.asynccontextmanager
async def open_office() -> AsyncIterator[Office]:
    """With a worker and a listener."""
    async with office() as made, working(made.stage.house), listening(made.stage):
        connected = "select 1 from installation_health where state = 'connected'"
        await until(lambda: made.stage.base.tenant_rows(ACME, connected))
        yield made


async def employ(made: Office, user: SandboxUser, role: Role, tenant: TenantSlug = ACME) -> UUID:
    """A member whose chat account is linked."""
    registry = made.stage.house.registry
    async with made.stage.house.tenancy.session(tenant) as session:
        email = f"{user.username}@acme.example"
        member = await add_member(
            session, membership_teller(registry, OPERATOR), email, name=user.username.capitalize(), role=role
        )
    async with made.stage.house.tenancy.session(tenant) as session:
        issued = await identities.issue_link(session, member.user_id)
    async with made.stage.house.tenancy.session(tenant) as session:
        account = {"connector": "mattermost", "server_key": made.server_key, "subject": user.id}
        tell = fact_teller(registry, Actor("human", user.id))
        await identities.redeem_link(session, tell, issued.code.reveal(), **account, name=user.username)
    made.users[user.username] = member.user_id
    return member.user_id


async def _employ(made: Office, name: str, role: Role) -> None:
    await employ(made, getattr(made, name), role)

"""What the gate has to know of a run beside its agent: granted scopes, what the organization has left, who asks.

Read anew for each judgement, and only as far as the called tools need it.

Who grants what: a person who gives an agent a tool grants that agent the tool's scope (`Agent.scopes`). What a package
gave its agent takes a scope that was granted to the package's own installation, which has to be in force; no other
installation's grants count.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from fleetprompt.accounts import Member, Role
from fleetprompt.accounts.identities import member_behind
from fleetprompt.database.driver import Sql
from fleetprompt.model import Agent, Execution, Installation
from fleetprompt.runtime.agents.policies import read_policies
from fleetprompt.runtime.agents.provider import Provider, provider_of
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.tools.tool import Tool
from fleetprompt.tenancy import TenantSession
from fleetprompt.tenancy.limits import own_limits
from fleetprompt.tenancy.rows import get

_CALLED = Sql(
    "select coalesce(sum(tool_calls), 0) from executions where created_at > now() - interval '1 hour'"
)
PERSON: Final = "person"


@dataclass(frozen=True, slots=True)
class Standing:
    """of_agent: scopes that a person granted the agent. calls_left: of this hour; None = there is no such limit.

    asking: the member behind the account that asked; None for everybody else.
    """

    of_agent: frozenset[str] = field(default_factory=frozenset)
    provider: Provider | None = None
    calls_left: int | None = None
    asking: Member | None = None

    def grants(self, scope: str) -> bool:
        """Whether anybody granted it."""
        own = self.provider is not None and self.provider.problem is None and scope in self.provider.scopes
        return own or scope in self.of_agent


async def standing(
    session: TenantSession,
    registry: Registry,
    agent: Agent,
    execution: Execution,
    tools: Collection[Tool],
    *,
    counts: bool = True,
) -> Standing:
    """For calls of these tools. counts: whether they are new calls, which the organization's limit is for."""
    if not tools:
        return Standing()
    asked = any(required_role(agent, tool) is not None for tool in tools)
    return Standing(
        frozenset(agent.scopes),
        await provider_of(session, agent),
        await _calls_left(session) if counts else None,
        await asking_member(session, registry, execution) if asked else None,
    )


def required_role(agent: Agent, tool: Tool) -> Role | None:
    """The least role of whoever asks for it: the stricter of the tool's own and the agent's policy; None = anyone."""
    wished = read_policies(agent.policies).initiator_of(tool.name)
    roles = [role for role in (tool.initiator, wished) if role is not None]
    return max(roles, key=lambda role: role.rank, default=None)


async def asking_member(session: TenantSession, registry: Registry, execution: Execution) -> Member | None:
    """Who started a run, as one of our users. A bot, a workflow and an account that nobody linked are none."""
    if execution.input.get("author_kind") != PERSON or execution.installation_id is None:
        return None
    return await member_of_account(
        session, registry, execution.installation_id, str(execution.input.get("person_id", ""))
    )


async def member_of_account(
    session: TenantSession, registry: Registry, installation_id: object, subject: str
) -> Member | None:
    """The user of an account on an installation's far side."""
    installation = await get(session, Installation, installation_id)
    channel = None if installation is None else registry.channels.get(installation.package)
    if installation is None or channel is None or channel.server_key is None or not subject:
        return None
    return await member_behind(
        session,
        connector=channel.connector,
        server_key=channel.server_key(installation.config),
        subject=subject,
    )


async def _calls_left(session: TenantSession) -> int | None:
    limit = (await own_limits(session)).tool_calls_per_hour
    if limit is None:
        return None
    return max(0, limit - int((await session.fetch(_CALLED, {}))[0][0]))

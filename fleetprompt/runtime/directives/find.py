"""Looking directives up, for an operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from fleetprompt.kernel.errors import NotFound
from fleetprompt.model import Directive, Effect
from fleetprompt.runtime.directives.end import effects_of
from fleetprompt.runtime.registry import Registry
from fleetprompt.tenancy import TenantSession


@dataclass(frozen=True, slots=True)
class DirectiveFilter:
    """All given conditions hold together."""

    state: str | None = None
    name: str | None = None
    correlation_id: UUID | None = None
    execution_id: UUID | None = None


async def list_directives(session: TenantSession, chosen: DirectiveFilter, limit: int) -> Sequence[Directive]:
    """The newest ones, oldest of them first."""
    query = select(Directive).order_by(Directive.id.desc()).limit(limit)
    if chosen.state is not None:
        query = query.where(Directive.state == chosen.state)
    if chosen.name is not None:
        query = query.where(Directive.name == chosen.name)
    if chosen.correlation_id is not None:
        query = query.where(Directive.correlation_id == chosen.correlation_id)
    if chosen.execution_id is not None:
        query = query.where(Directive.execution_id == chosen.execution_id)
    return list(await session.scalars(query))[::-1]


async def preview(session: TenantSession, registry: Registry, directive: Directive) -> str | None:
    """What it would do, as a person who decides should see it; None where its kind does not say."""
    kind = registry.directives.get(directive.name)
    if kind is None or kind.preview is None:
        return None
    return await kind.preview(session, directive)


async def find_directive(session: TenantSession, directive_id: UUID) -> tuple[Directive, Sequence[Effect]]:
    """With its effects. Raises NotFound."""
    directive = await session.get(Directive, directive_id)
    if directive is None:
        raise NotFound(
            f"There is no directive {directive_id} here.", "See: fleetprompt directives list --org ..."
        )
    return directive, await effects_of(session, directive)

"""Recording an intent, in the caller's transaction: once for each idempotency key."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from pydantic import ValidationError
from sqlalchemy import select

from fleetprompt.kernel import clock
from fleetprompt.kernel.errors import InvalidInput
from fleetprompt.kernel.ids import DirectiveId, new_id
from fleetprompt.kernel.json import canonical, clean, clean_text
from fleetprompt.model import Directive
from fleetprompt.model.states import DirectiveState
from fleetprompt.runtime.directives.tell import tell
from fleetprompt.runtime.directives.types import NewDirective
from fleetprompt.runtime.jobs import NewJob, enqueue
from fleetprompt.runtime.jobs.follow import follow_up, keep
from fleetprompt.runtime.registry import Registry
from fleetprompt.tenancy import TenantSession
from fleetprompt.tenancy.rows import insert


@dataclass(frozen=True, slots=True)
class Requested:
    """fresh: False when this intent was recorded before; state is where it stands."""

    id: DirectiveId
    state: str
    fresh: bool


async def request(session: TenantSession, registry: Registry, new: NewDirective) -> Requested:
    """Record the intent and enqueue its run, or ask for approval first. Idempotent by its key.

    Raises InvalidInput for an unknown name or arguments that its kind does not take.
    """
    row = _row(registry, new)
    directive = await insert(session, Directive, row, "on conflict (idempotency_key) do nothing")
    if directive is None:
        known = await session.scalar(
            select(Directive).where(Directive.idempotency_key == new.idempotency_key)
        )
        assert known is not None
        return Requested(DirectiveId(known.id), known.state, fresh=False)
    if new.approval_reason is None:
        keep(session, directive)
        await follow_up(session, _run_job(directive))
    else:
        await tell(session, registry, directive, "directive.approval_requested", reason=new.approval_reason)
    return Requested(DirectiveId(directive.id), directive.state, fresh=True)


async def enqueue_run(session: TenantSession, directive: Directive) -> None:
    """The job that carries it out."""
    await enqueue(session, _run_job(directive))


def _run_job(directive: Directive) -> NewJob:
    return NewJob(
        "directive.run",
        {"directive_id": str(directive.id)},
        lane=directive.lane,
        position=directive.position,
        unique_key=f"directive:{directive.id}",
        correlation_id=directive.correlation_id,
    )


def digest(arguments: Mapping[str, Any]) -> str:
    """What an approval binds: the exact arguments."""
    return hashlib.sha256(canonical(_as_stored(arguments)).encode()).hexdigest()


def _as_stored(value: Any) -> Any:
    """Whole numbers as integers: jsonb spells 1e22 out and knows no -0.0, so they come back as something else."""
    if isinstance(value, dict):
        return {key: _as_stored(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_stored(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(Decimal(repr(value)))
    return value


def _row(registry: Registry, new: NewDirective) -> dict[str, Any]:
    arguments = validated(registry, new.name, new.arguments)
    asks = new.approval_reason is not None
    directive_id = new_id()
    return {
        "id": directive_id,
        "name": new.name,
        "idempotency_key": new.idempotency_key,
        "state": DirectiveState.AWAITING_APPROVAL if asks else DirectiveState.REQUESTED,
        "arguments": arguments,
        "arguments_digest": digest(arguments),
        "summary": clean_text(new.summary),
        "actor_kind": new.actor.kind,
        "actor_id": new.actor.id,
        "actor_name": new.actor.name,
        "correlation_id": new.correlation_id or directive_id,
        "causation_id": new.causation_id,
        "execution_id": new.execution_id,
        "installation_id": new.installation_id,
        "conversation_id": new.conversation_id,
        "lane": new.lane,
        "position": new.position,
        "approval_reason": new.approval_reason,
        "approval_expires_at": clock.now() + timedelta(seconds=new.approval_lasts_s) if asks else None,
    }


def validated(registry: Registry, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as they are stored. Raises InvalidInput."""
    kind = registry.directives.get(name)
    if kind is None:
        raise InvalidInput(
            f"There is no directive {name!r}.", f"Known: {', '.join(sorted(registry.directives))}."
        )
    try:
        arguments = kind.arguments.model_validate(dict(given)).model_dump(mode="json")
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, fault["loc"])) + ": " + fault["msg"] for fault in error.errors())
        raise InvalidInput(
            f"{name} does not take these arguments: {fields}."
        ) from None  # the original quotes what was given
    cleaned: dict[str, Any] = clean(arguments)  # a model may have written them
    return cleaned

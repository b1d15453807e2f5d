"""What a directive is made of: its kind, its effects, and how one try of an effect may end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable
from uuid import UUID

from pydantic import BaseModel

from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import Directive
from fleetprompt.runtime.signals import Actor, NewSignal
from fleetprompt.tenancy import TenantSession


@dataclass(frozen=True, slots=True)
class EffectTry:
    """One effect in the hands of its effector. request was frozen before the first try.

    key travels to the far side, so that a look-up can find the effect. first_tried_at_ms: unix ms.
    """

    tenant: TenantSlug
    directive_id: UUID
    installation_id: UUID | None
    part: int
    key: str
    request: Mapping[str, Any]
    tries: int
    first_tried_at_ms: int
    failures: int = 0
    """How often the directive certainly failed, for a passing reason, before."""
    ahead: Any = None
    """What the effector saw in the transaction that wrote `sending` (`LooksAhead`); None = it has to look itself."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """It is done. receipt: what the far side says of it (JSON, without secrets)."""

    receipt: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Absent:
    """Looked up: it certainly did not happen."""


@dataclass(frozen=True, slots=True)
class RetryIn:
    """It certainly did not happen, and may work later. forgiven: does not count as a failure (a rate limit)."""

    seconds: float | None  # None = our own backoff
    code: str
    reason: str
    forgiven: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """It did not happen and never will."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Unclear:
    """It may or may not have happened: look before repeating. unreachable: nobody could be asked just now."""

    reason: str
    unreachable: bool = False


Outcome = Delivered | RetryIn | Refused | Unclear


class Effector(Protocol):
    """Carries a kind of directive out. Called outside any transaction, but for `plan`."""

    async def plan(self, session: TenantSession, directive: Directive) -> Sequence[dict[str, Any]]:
        """The requests of its effects, in order, frozen from now on; at least one."""
        ...

    async def perform(self, effect: EffectTry) -> Outcome:
        """Try once. Must not raise for anything that the far side or the way there can do."""
        ...

    async def look_up(self, effect: EffectTry) -> Delivered | Absent | RetryIn | Unclear:
        """Whether an effect whose answer was lost has happened. RetryIn: cannot ask just now, ask again."""
        ...


@runtime_checkable
class LooksAhead(Protocol):
    """An effector that needs the database before it calls: asked where a transaction is open anyway."""

    async def look_ahead(self, session: TenantSession, directive: Directive) -> Any:
        """Given back to `perform` as `effect.ahead`."""
        ...


async def _nothing(session: TenantSession, directive: Directive, receipts: Sequence[dict[str, Any]]) -> None:
    """The default of `DirectiveType.delivered`."""


@dataclass(frozen=True, slots=True)
class DirectiveType:
    """A kind of intent. arguments: validated when it is requested, frozen afterwards."""

    name: str
    about: str
    arguments: type[BaseModel]
    effector: Effector
    max_failures: int = 6
    delivered: Callable[
        [TenantSession, Directive, Sequence[dict[str, Any]]], Awaitable[Sequence[NewSignal] | None]
    ] = field(default=_nothing)
    """Called in the transaction of its success, with the receipts of its parts; returns what is to be told of it."""
    editable: frozenset[str] = frozenset()
    """Arguments that a person may change while it waits for approval."""
    preview: Callable[[TenantSession, Directive], Awaitable[str]] | None = None
    """What it would do, as the person who decides should see it."""


@dataclass(frozen=True, slots=True)
class NewDirective:
    """An intent to be recorded. idempotency_key: the same intent, however often it is asked for.

    approval_reason: why a person has to agree first; None = none has to.
    """

    name: str
    idempotency_key: str
    arguments: Mapping[str, Any]
    summary: str
    actor: Actor
    correlation_id: UUID | None = None
    causation_id: UUID | None = None
    execution_id: UUID | None = None
    installation_id: UUID | None = None
    conversation_id: UUID | None = None
    lane: str | None = None
    position: int = 0
    approval_reason: str | None = None
    approval_lasts_s: float = 24 * 3600

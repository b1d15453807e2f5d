"""Carry out the directive that posts: split once, send each part once, look before repeating."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, field_validator

from adapters.contract import Adapter, LooksUp, Outbound, Place, Receipt
from adapters.errors import (
    AdapterError,
    CredentialRefused,
    Misconfigured,
    OutcomeUnknown,
    Passing,
    RateLimited,
    Remedy,
)
from fleetprompt.connectors import breaker, observe
from fleetprompt.connectors.binding import Binding
from fleetprompt.connectors.bucket import TokenBuckets
from fleetprompt.connectors.bulkhead import Bulkhead
from fleetprompt.connectors.pool import AdapterPool
from fleetprompt.kernel import clock
from fleetprompt.kernel.json import clean_text
from fleetprompt.model import Directive, Installation
from fleetprompt.model.states import IN_FORCE
from fleetprompt.runtime.directives import (
    Absent,
    Delivered,
    EffectTry,
    Outcome,
    Refused,
    RetryIn,
    Unclear,
)
from fleetprompt.runtime.registry import Registry
from fleetprompt.tenancy import Tenancy, TenantSession
from fleetprompt.tenancy.rows import get

PATIENCE_S = 3600.0  # how long a disturbed far side is waited for before its failures count
ASK_AGAIN_S = 60.0  # after a fault that a person has to mend
SHORT_WAIT_S = 0.5  # waited for on the spot
DEFAULT_MAX_RUNES = 4000
CROWDED = RetryIn(
    2.0, "crowded", "The far side is slow; other calls of this installation go first.", forgiven=True
)
CUT_NOTE = "\n\n*(The rest was too long to post.)*"


class PostArguments(BaseModel):
    """What is posted, and where."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    channel_id: str = Field(min_length=1, max_length=200)
    channel_kind: str = "public"
    thread_id: str = ""
    text: str = Field(max_length=1_000_000)

    @field_validator("text", mode="before")
    @classmethod
    def _is_clean(cls, value: Any) -> Any:
        return clean_text(value) if isinstance(value, str) else value

    @field_validator("text")
    @classmethod
    def _has_text(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("there is nothing to post")
        return value


@dataclass(frozen=True, slots=True)
class _Ahead:
    """What a call depends on, as the database has it."""

    installation: Installation | None
    standing: breaker.Standing | None


@dataclass(frozen=True, slots=True)
class _Open:
    """The way is free. troubled: a success has something to reset."""

    installation: Installation
    troubled: bool


class PostEffector:
    """Posts of one chat connector."""

    def __init__(
        self, registry: Registry, tenancy: Tenancy, pool: AdapterPool, buckets: TokenBuckets, binding: Binding
    ) -> None:
        self._registry = registry
        self._tenancy = tenancy
        self._pool = pool
        self._buckets = buckets
        self._binding = binding
        self._bulkhead = Bulkhead()

    async def plan(self, session: TenantSession, directive: Directive) -> Sequence[dict[str, Any]]:
        """One request for each post, of at most the server's limit."""
        installation = await get(session, Installation, directive.installation_id)
        account, config = (installation.account, installation.config) if installation else ({}, {})
        max_runes = int(account.get("max_text_runes") or DEFAULT_MAX_RUNES)
        parts = self._cut(directive.arguments["text"], max_runes, int(config.get("max_posts_per_answer", 8)))
        place = {key: directive.arguments[key] for key in ("channel_id", "channel_kind", "thread_id")}
        execution = {"execution": str(directive.execution_id)} if directive.execution_id else {}
        return [{**place, "text": part, "metadata": execution} for part in parts]

    def _cut(self, text: str, max_runes: int, max_posts: int) -> list[str]:
        parts = self._binding.parts(text, max_runes) or [""]  # the adapter refuses an empty one
        if len(parts) <= max_posts:
            return parts
        kept = self._binding.parts(text, max_runes - len(CUT_NOTE))[:max_posts]
        return [*kept[:-1], kept[-1] + CUT_NOTE]

    async def look_ahead(self, session: TenantSession, directive: Directive) -> _Ahead:
        """Spares the call a transaction of its own."""
        assert directive.installation_id is not None, "a post needs an installation"
        return await _look(session, directive.installation_id)

    async def perform(self, effect: EffectTry) -> Outcome:
        """Send once."""
        async with self._bulkhead.turn(_installation_id(effect), SHORT_WAIT_S) as is_ours:
            return await self._perform(effect) if is_ours else CROWDED

    async def look_up(self, effect: EffectTry) -> Delivered | Absent | RetryIn | Unclear:
        """Whether it arrived."""
        async with self._bulkhead.turn(_installation_id(effect), SHORT_WAIT_S) as is_ours:
            return await self._look_up(effect) if is_ours else CROWDED

    async def _send(self, adapter: Adapter, effect: EffectTry) -> Receipt:
        return await adapter.send(await self._message(effect))

    async def _message(self, effect: EffectTry) -> Outbound:
        return _outbound(effect)

    async def _find(self, adapter: Adapter, effect: EffectTry) -> Receipt | None:
        assert isinstance(adapter, LooksUp)
        return await adapter.look_up(_outbound(effect))

    async def _perform(self, effect: EffectTry) -> Outcome:
        try:
            way = await self._way(effect, endpoint="post")
            if not isinstance(way, _Open):
                return way
            async with self._pool.lend(effect.tenant, way.installation) as adapter:
                receipt = await self._send(adapter, effect)
        except AdapterError as error:
            return await self._failed(effect, error)
        if way.troubled:
            await breaker.note_success(self._tenancy, effect.tenant, _installation_id(effect))
        observe.sent(effect.tenant, self._binding.package, "delivered")
        return _delivered(receipt)

    async def _look_up(self, effect: EffectTry) -> Delivered | Absent | RetryIn | Unclear:
        try:
            way = await self._way(effect, endpoint="look_up")
            if isinstance(way, Refused):
                return Unclear(way.reason)
            if isinstance(way, RetryIn):
                return way
            async with self._pool.lend(effect.tenant, way.installation) as adapter:
                receipt = await self._find(adapter, effect)
        except OutcomeUnknown as error:
            return Unclear(error.detail)
        except AdapterError as error:
            if error.remedy is Remedy.GIVE_UP:
                return Absent()  # its place is gone; sending again will say so
            await self._remember(effect, error, None)
            return RetryIn(ASK_AGAIN_S, error.code, _words(error), forgiven=True)
        if receipt is None:
            return Absent()
        observe.sent(effect.tenant, self._binding.package, "found")
        return _delivered(receipt)

    async def _way(self, effect: EffectTry, *, endpoint: str) -> _Open | RetryIn | Refused:
        """Whether the far side may be called now, or why not."""
        ahead = effect.ahead
        if not isinstance(ahead, _Ahead):
            async with self._tenancy.session(effect.tenant) as session:
                ahead = await _look(session, _installation_id(effect))
        installation, standing = ahead.installation, ahead.standing
        if installation is None or standing is None:
            state = "gone" if installation is None else installation.state
            return Refused("not_installed", f"The installation is {state}, so nothing is posted for it.")
        if standing.wait_s > 0:
            return RetryIn(standing.wait_s, "blocked", "The far side is given a pause.", forgiven=True)
        wait_s = await self._take_token(effect, installation, endpoint)
        if wait_s > 0:
            observe.limited(effect.tenant, self._binding.package, "own")
            return RetryIn(wait_s, "own_rate_limit", "Our own limit of posts a second.", forgiven=True)
        return _Open(installation, standing.troubled)

    async def _take_token(self, effect: EffectTry, installation: Installation, endpoint: str) -> float:
        per_second = float(installation.config.get("posts_per_second", 10.0))
        burst = int(installation.config.get("post_burst", 20))
        key = (effect.tenant, installation.id, endpoint)
        wait_s = self._buckets.wait_s(key, per_second, burst)
        if 0 < wait_s <= SHORT_WAIT_S:
            await asyncio.sleep(wait_s)
            wait_s = self._buckets.wait_s(key, per_second, burst)
        return wait_s

    async def _failed(self, effect: EffectTry, error: AdapterError) -> Outcome:
        await self._remember(effect, error, self._registry)
        observe.sent(effect.tenant, self._binding.package, error.code)
        if isinstance(error, OutcomeUnknown):
            return Unclear(error.detail)
        if isinstance(error, RateLimited):
            return RetryIn(breaker.rate_limit_s(error), error.code, error.detail, forgiven=True)
        if isinstance(error, Passing):
            return RetryIn(error.retry_after_s, error.code, _words(error), forgiven=_is_patient(effect))
        if isinstance(error, CredentialRefused | Misconfigured):
            return RetryIn(ASK_AGAIN_S, error.code, _words(error), forgiven=_is_patient(effect))
        return Refused(error.code, _words(error))

    async def _remember(self, effect: EffectTry, error: AdapterError, registry: Registry | None) -> None:
        """registry: where it failed to send."""
        installation_id, package = _installation_id(effect), self._binding.package
        if isinstance(error, RateLimited):
            observe.limited(effect.tenant, package, "theirs")
        if isinstance(error, CredentialRefused | Misconfigured):
            await self._pool.discard(installation_id)
        await breaker.note_failure(
            self._tenancy, effect.tenant, installation_id, error, package=package, registry=registry
        )


async def _look(session: TenantSession, installation_id: UUID) -> _Ahead:
    installation = await get(session, Installation, installation_id)
    if installation is None or installation.state not in IN_FORCE:
        return _Ahead(installation, None)
    return _Ahead(installation, await breaker.standing(session, installation_id))


def _installation_id(effect: EffectTry) -> UUID:
    assert effect.installation_id is not None, "a post needs an installation"
    return effect.installation_id


def _outbound(effect: EffectTry) -> Outbound:
    request = effect.request
    place = Place(request["channel_id"], request["channel_kind"], request["thread_id"])
    return Outbound(effect.key, place, request["text"], effect.first_tried_at_ms, request["metadata"])


def _delivered(receipt: Receipt) -> Delivered:
    return Delivered(
        {"external_id": receipt.external_id, "sent_at_ms": receipt.sent_at_ms, "found": receipt.found}
    )


def _words(error: AdapterError) -> str:
    return f"{error.detail}. {error.advice}" if error.advice else error.detail


def _is_patient(effect: EffectTry) -> bool:
    """Whether it is still early: then an outage does not count as a failure of this post."""
    return clock.now_ms() - effect.first_tried_at_ms < PATIENCE_S * 1000

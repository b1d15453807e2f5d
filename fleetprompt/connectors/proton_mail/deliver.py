"""Carry `email.send` out: send frozen bytes once, look into Sent before repeating, and stop early when refused.

Bridge answers 554 to everything, also to what passes; and whoever repeats in a storm loses the account. So a refusal is
tried a few times with a growing delay, and our own limits stay under those of Proton. After a refusal that came behind
the mail itself Sent is searched at once: what does not stand there was not sent, and counts as any other refusal; so a
mail that is refused again and again ends as failed, and not as one of which nobody knows.

A mail that came back and is retried waits until Bridge has forgotten it: before, Bridge says 250 and sends nothing.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text

from adapters.contract import LooksUp, Place, Receipt
from adapters.errors import (
    AdapterError,
    CredentialRefused,
    FarSideFailed,
    Misconfigured,
    OutcomeUnknown,
    Passing,
    RateLimited,
    Remedy,
)
from adapters.proton_mail import FrozenMail, RefusedAfterData
from fleetprompt.connectors import breaker, observe
from fleetprompt.connectors.bulkhead import Bulkhead
from fleetprompt.connectors.pool import AdapterPool
from fleetprompt.connectors.proton_mail.allowance import suppressed, wait_for_allowance_s
from fleetprompt.connectors.proton_mail.plan import plan_mail
from fleetprompt.connectors.proton_mail.sent import Earlier, note_again, sent_earlier
from fleetprompt.kernel import clock
from fleetprompt.model import Directive, Installation
from fleetprompt.model.states import IN_FORCE
from fleetprompt.runtime.directives import Absent, Delivered, EffectTry, Outcome, Refused, RetryIn, Unclear
from fleetprompt.runtime.registry import Registry
from fleetprompt.tenancy import Tenancy, TenantSession

PACKAGE: Final = "proton-mail"
PATIENCE_S: Final = 3600.0  # how long a Bridge that is away is waited for before its failures count
ASK_AGAIN_S: Final = 60.0  # after a fault that a person has to mend
MAX_FAILURES: Final = 4
GROWS: Final = 4.0
MOST_DELAY_S: Final = 3600.0
JITTER: Final = 1.25  # never sooner than was set
AT_ONCE: Final = 2  # of one mailbox: a slow one must not use up the worker
SHORT_WAIT_S: Final = 0.5
# Which copies are not sent, known before sending: a mail that is found in Sent was sent without them.
_NOTE_GONE: Final = text(
    "update effects set request = jsonb_set(request, '{gone}', to_jsonb(cast(:gone as text[]))) where key = :key"
)
CROWDED: Final = RetryIn(2.0, "crowded", "Other mails of this mailbox go first.", forgiven=True)
REMEMBERED: Final = "Bridge still remembers this mail from when it came back, and would not send it again."


@dataclass(frozen=True, slots=True)
class _Open:
    """The way is free. gone: recipients whom nothing is sent to. earlier: it had left before, and is retried."""

    installation: Installation
    gone: tuple[str, ...] = ()
    earlier: Earlier | None = None


class MailEffector:
    """Mails of all installations."""

    def __init__(self, registry: Registry, tenancy: Tenancy, pool: AdapterPool) -> None:
        self._registry = registry
        self._tenancy = tenancy
        self._pool = pool
        self._bulkhead = Bulkhead(AT_ONCE)

    async def plan(self, session: TenantSession, directive: Directive) -> Sequence[dict[str, Any]]:
        """One mail."""
        return [await plan_mail(session, directive)]

    async def look_ahead(self, session: TenantSession, directive: Directive) -> float | None:
        """The seconds until there is room for one more mail, decided where `sending` is written."""
        installation = await session.get(Installation, directive.installation_id)
        if installation is None:
            return None  # said when it is performed
        return await wait_for_allowance_s(session, installation, directive.id)

    async def perform(self, effect: EffectTry) -> Outcome:
        """Send once."""
        refused = effect.request.get("refused")
        if refused is not None:
            return Refused(refused["code"], refused["reason"])
        if "raw" not in effect.request:
            return Refused("gone", "The mail's retention is over.")
        async with self._bulkhead.turn(_installation_id(effect), SHORT_WAIT_S) as is_ours:
            return await self._perform(effect) if is_ours else CROWDED

    async def look_up(self, effect: EffectTry) -> Delivered | Absent | RetryIn | Unclear:
        """Whether it stands in Sent; of a retry the copy of the earlier time does not count."""
        if "raw" not in effect.request:
            return Absent()
        async with self._bulkhead.turn(_installation_id(effect), SHORT_WAIT_S) as is_ours:
            return await self._look_up(effect) if is_ours else CROWDED

    async def _perform(self, effect: EffectTry) -> Outcome:
        way = await self._way(effect, sends=True)
        if not isinstance(way, _Open):
            return way
        installation = way.installation
        try:
            async with self._pool.lend(effect.tenant, installation) as adapter:
                receipt = await adapter.send(_frozen(effect, way.gone))
        except RefusedAfterData as error:
            return await self._refused_after_data(effect, way, error)
        except AdapterError as error:
            return await self._failed(effect, installation, error)
        await breaker.note_success(self._tenancy, effect.tenant, installation.id)
        observe.sent(effect.tenant, PACKAGE, "delivered")
        return _delivered(effect, receipt, way.gone)

    async def _look_up(self, effect: EffectTry) -> Delivered | Absent | RetryIn | Unclear:
        way = await self._way(effect, sends=False)
        if isinstance(way, Refused):
            return Unclear(way.reason)
        if isinstance(way, RetryIn):
            return way
        if way.earlier is not None and way.earlier.again_at_ms is None:
            return Absent()  # what stands in Sent is of the earlier time
        return await self._search(effect, way)

    async def _search(self, effect: EffectTry, way: _Open) -> Delivered | Absent | RetryIn | Unclear:
        try:
            async with self._pool.lend(effect.tenant, way.installation) as adapter:
                assert isinstance(adapter, LooksUp)
                receipt = await adapter.look_up(_frozen(effect))
        except OutcomeUnknown as error:
            return Unclear(error.detail, unreachable=True)
        except AdapterError as error:
            await self._remember(effect, error, None)
            return RetryIn(ASK_AGAIN_S, error.code, _words(error), forgiven=True)
        if receipt is None:
            return Absent()
        if way.earlier is not None and way.earlier.is_copy(receipt.sent_at_ms):
            return Absent()
        observe.sent(effect.tenant, PACKAGE, "found")
        return _delivered(effect, receipt, way.gone)

    async def _way(self, effect: EffectTry, *, sends: bool) -> _Open | RetryIn | Refused:
        """Whether the mailbox may be used now, or why not."""
        async with self._tenancy.session(effect.tenant) as session:
            installation = await session.get(Installation, _installation_id(effect))
            if installation is None or installation.state not in IN_FORCE:
                state = "gone" if installation is None else installation.state
                return Refused("not_installed", f"The mailbox is {state}, so nothing is sent from it.")
            standing = await breaker.standing(session, installation.id)
            if standing.wait_s > 0:
                return RetryIn(standing.wait_s, "blocked", "Bridge is given a pause.", forgiven=True)
            if sends:
                return await self._way_out(session, effect, installation)
            return _Open(installation, _noted(effect), await sent_earlier(session, effect.key))

    async def _way_out(
        self, session: TenantSession, effect: EffectTry, installation: Installation
    ) -> _Open | RetryIn | Refused:
        """Whom it goes to by now, and whether it may go now."""
        gone = await suppressed(session, effect.request["recipients"])
        if set(_primary(effect)) <= set(gone):
            return _nobody(effect)
        earlier = await sent_earlier(session, effect.key)
        if earlier is not None and earlier.wait_s > 0:
            return RetryIn(earlier.wait_s, "duplicate_window", REMEMBERED, forgiven=True)
        wait_s = effect.ahead
        if wait_s is None:
            wait_s = await wait_for_allowance_s(session, installation, effect.directive_id, effect.key)
        if tuple(gone) != _noted(effect):
            await session.execute(_NOTE_GONE, {"gone": gone, "key": effect.key})
        if wait_s > 0:
            observe.limited(effect.tenant, PACKAGE, "own")
            return RetryIn(
                wait_s, "own_rate_limit", "Our own limit of mails an hour or a day.", forgiven=True
            )
        if earlier is not None:
            earlier = await note_again(session, effect.key)
        return _Open(installation, tuple(gone), earlier)

    async def _failed(self, effect: EffectTry, installation: Installation, error: AdapterError) -> Outcome:
        await self._remember(effect, error, self._registry)
        observe.sent(effect.tenant, PACKAGE, error.code)
        if isinstance(error, OutcomeUnknown):
            return Unclear(error.detail)
        if isinstance(error, FarSideFailed):
            return RetryIn(_delay_s(effect, installation), error.code, _words(error))
        if isinstance(error, Passing):
            return RetryIn(error.retry_after_s, error.code, _words(error), forgiven=_is_patient(effect))
        if error.remedy is Remedy.ASK_HUMAN:
            return RetryIn(ASK_AGAIN_S, error.code, _words(error), forgiven=_is_patient(effect))
        return Refused(error.code, _words(error))

    async def _refused_after_data(self, effect: EffectTry, way: _Open, error: RefusedAfterData) -> Outcome:
        match await self._search(effect, way):
            case Absent():
                await self._remember(effect, error, self._registry)
                observe.sent(effect.tenant, PACKAGE, error.code)
                return RetryIn(_delay_s(effect, way.installation), FarSideFailed.code, error.detail)
            case RetryIn():
                return Unclear(error.detail)
            case found:
                return found

    async def _remember(self, effect: EffectTry, error: AdapterError, registry: Registry | None) -> None:
        """registry: where it failed to send."""
        installation_id = _installation_id(effect)
        if isinstance(error, RateLimited):
            observe.limited(effect.tenant, PACKAGE, "theirs")
        if isinstance(error, CredentialRefused | Misconfigured):
            await self._pool.discard(installation_id)
        await breaker.note_failure(
            self._tenancy, effect.tenant, installation_id, error, package=PACKAGE, registry=registry
        )


def _installation_id(effect: EffectTry) -> UUID:
    assert effect.installation_id is not None, "a mail needs a mailbox"
    return effect.installation_id


def _primary(effect: EffectTry) -> list[str]:
    """Whom the mail is for, copies apart; of one that an older version froze the first."""
    return list(effect.request.get("to") or effect.request["recipients"][:1])


def _noted(effect: EffectTry) -> tuple[str, ...]:
    """Whom an earlier try left out."""
    return tuple(effect.request.get("gone", ()))


def _nobody(effect: EffectTry) -> Refused:
    """Nobody is left whom the mail is for."""
    what = f"{', '.join(_primary(effect))}: mail to this address came back."
    restore = f"fleetprompt mail suppressed restore ADDRESS --org {effect.tenant}"
    return Refused("suppressed", f"{what} Restore it: {restore}.")


def _frozen(effect: EffectTry, gone: Sequence[str] = ()) -> FrozenMail:
    """gone: copies that came to be left out after the bytes were frozen; these stay as they are."""
    request = effect.request
    return FrozenMail(
        key=effect.key,
        place=Place(request["recipients"][0], "direct"),
        text=request["text"],
        first_tried_at_ms=effect.first_tried_at_ms,
        raw=request["raw"].encode("ascii"),
        message_id=request["message_id"],
        sender=request["sender"],
        recipients=tuple(one for one in request["recipients"] if one not in gone),
    )


def _delivered(effect: EffectTry, receipt: Receipt, gone: Sequence[str] = ()) -> Delivered:
    """left_out: copies that were not sent, since mail to these addresses came back."""
    said = {"external_id": receipt.external_id, "sent_at_ms": receipt.sent_at_ms, "found": receipt.found}
    left_out = [*effect.request.get("left_out", ()), *gone]
    return Delivered({**said, "left_out": left_out} if left_out else said)


def _delay_s(effect: EffectTry, installation: Installation) -> float:
    """Until the next try, growing with each that was refused; with jitter, or mails refused together come back together."""
    grown = float(installation.config.get("retry_delay_s", 30.0)) * GROWS**effect.failures
    return min(MOST_DELAY_S, grown) * random.uniform(1.0, JITTER)


def _words(error: AdapterError) -> str:
    return f"{error.detail}. {error.advice}" if error.advice else error.detail


def _is_patient(effect: EffectTry) -> bool:
    """Whether it is still early: then an outage does not count as a failure of this mail."""
    return clock.now_ms() - effect.first_tried_at_ms < PATIENCE_S * 1000

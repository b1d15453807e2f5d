"""The directive `orders.hold`: placed once for each key, looked up before it is repeated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adapters.errors import AdapterError, OutcomeUnknown, Passing, RateLimited, Remedy
from adapters.order_desk import Hold, OrderDeskClient
from fleetprompt.model import Directive
from fleetprompt.runtime.directives import (
    Absent,
    Delivered,
    EffectTry,
    Outcome,
    Refused,
    RetryIn,
    Unclear,
)
from fleetprompt.tenancy import TenantSession

ASK_AGAIN_S = 5.0


class HoldEffector:
    """Places holds."""

    def __init__(self, client: OrderDeskClient) -> None:
        self._client = client

    async def plan(self, session: TenantSession, directive: Directive) -> Sequence[dict[str, Any]]:
        """One call."""
        return [dict(directive.arguments)]

    async def perform(self, effect: EffectTry) -> Outcome:
        """Place it once."""
        request = effect.request
        try:
            return _delivered(await self._client.hold(request["number"], request["reason"], effect.key))
        except OutcomeUnknown as error:
            return Unclear(error.detail)
        except RateLimited as error:
            return RetryIn(error.retry_after_s or 1.0, error.code, error.detail, forgiven=True)
        except AdapterError as error:
            if isinstance(error, Passing):
                return RetryIn(error.retry_after_s, error.code, error.detail)
            return Refused(error.code, f"{error.detail}. {error.advice}" if error.advice else error.detail)

    async def look_up(self, effect: EffectTry) -> Delivered | Absent | RetryIn | Unclear:
        """By its key, which the desk keeps for ever."""
        try:
            found = await self._client.find_hold(effect.key)
        except AdapterError as error:
            if error.remedy is Remedy.GIVE_UP:
                return Unclear(error.detail)
            return RetryIn(ASK_AGAIN_S, error.code, error.detail, forgiven=True)
        return Absent() if found is None else _delivered(found)


def _delivered(hold: Hold) -> Delivered:
    said = f"Order {hold.number} is on hold now ({hold.hold_id})."
    return Delivered({"number": hold.number, "hold_id": hold.hold_id, "found": hold.found, "summary": said})

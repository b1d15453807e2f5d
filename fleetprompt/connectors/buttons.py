"""Buttons below our posts. Pressing one says, as whoever presses it, what the button stands for.

The far side sends a press unsigned, so what it sends back is signed by us: an HMAC under a key of the tenant's own, over
what is said, and for which installation, directive and channel, until when, and by whom if it is one person's to say. A
press is no proof of a right: what is said is obeyed as if the person had written it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adapters.contract import Button, Outbound
from fleetprompt.connectors.binding import Binding
from fleetprompt.connectors.bucket import TokenBuckets
from fleetprompt.connectors.deliver import PostArguments, PostEffector
from fleetprompt.connectors.doors import NotOurs
from fleetprompt.connectors.pool import AdapterPool
from fleetprompt.credentials import TenantKey
from fleetprompt.kernel.json import canonical
from fleetprompt.model import Directive, Installation
from fleetprompt.packages.house import House
from fleetprompt.runtime.directives import EffectTry
from fleetprompt.runtime.registry import Offer
from fleetprompt.tenancy import TenantSession
from fleetprompt.tenancy.rows import get

PURPOSE: Final = "pressed button"
MOST_OFFERS: Final = 5


class OfferArguments(BaseModel):
    """As `registry.Offer`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: str = Field(min_length=1, max_length=60)
    says: str = Field(min_length=1, max_length=200)
    style: Literal["", "primary", "danger"] = ""
    lasts_s: float = Field(gt=0, le=30 * 24 * 3600)
    subject: str = Field(default="", max_length=200)


class OfferingArguments(PostArguments):
    """A post that people may answer by pressing a button."""

    offers: tuple[OfferArguments, ...] = Field(
        default=(), max_length=MOST_OFFERS, exclude_if=lambda it: not it
    )


class Context(BaseModel):
    """What a button carries. until_ms: unix ms by our clock. mac: hex, over all the rest."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    v: Literal[1] = 1
    says: Annotated[str, Field(min_length=1, max_length=200)]
    installation: Annotated[str, Field(max_length=36)]
    directive: Annotated[str, Field(max_length=36)]
    channel: Annotated[str, Field(max_length=200)]
    subject: Annotated[str, Field(max_length=200)] = ""
    until_ms: int
    mac: Annotated[str, Field(max_length=64)] = ""


def signed(key: TenantKey, context: Context) -> dict[str, Any]:
    """The context as a button carries it."""
    return context.model_copy(update={"mac": _mac(key, context)}).model_dump()


def opened(key: TenantKey, carried: Mapping[str, Any]) -> Context:
    """The context, if we made it for this tenant and nobody changed it. Raises NotOurs."""
    try:
        context = Context.model_validate(dict(carried))
    except ValidationError as error:
        raise NotOurs from error
    if not hmac.compare_digest(context.mac.encode(), _mac(key, context).encode()):
        raise NotOurs
    return context


def _mac(key: TenantKey, context: Context) -> str:
    told = canonical(context.model_dump(exclude={"mac"}))
    return hmac.digest(key.derive(PURPOSE), told.encode("utf-8", "surrogatepass"), hashlib.sha256).hex()


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an effect's buttons stand."""

    installation_id: UUID
    directive_id: UUID
    channel_id: str
    posted_ms: int


class OfferEffector(PostEffector):
    """Posts with buttons, where the installation wants them."""

    def __init__(self, house: House, pool: AdapterPool, buckets: TokenBuckets, binding: Binding) -> None:
        super().__init__(house.registry, house.tenancy, pool, buckets, binding)
        self._house = house

    async def plan(self, session: TenantSession, directive: Directive) -> Sequence[dict[str, Any]]:
        """As of any post; the buttons stand below the last part."""
        requests = list(await super().plan(session, directive))
        offers = directive.arguments.get("offers")
        installation = await get(session, Installation, directive.installation_id) if offers else None
        if installation is not None and installation.config.get("buttons"):
            requests[-1] = {**requests[-1], "offers": offers}
        return requests

    async def _message(self, effect: EffectTry) -> Outbound:
        message = await super()._message(effect)
        offers = effect.request.get("offers") or ()
        if not offers:
            return message
        key = await self._house.vault.key_of(effect.tenant)
        assert effect.installation_id is not None
        place = _Place(
            effect.installation_id, effect.directive_id, message.place.channel_id, effect.first_tried_at_ms
        )
        return replace(message, buttons=[self._button(key, place, Offer(**offer)) for offer in offers])

    def _button(self, key: TenantKey, place: _Place, offer: Offer) -> Button:
        context = Context(
            says=offer.says,
            installation=str(place.installation_id),
            directive=str(place.directive_id),
            channel=place.channel_id,
            subject=offer.subject,
            until_ms=place.posted_ms + int(offer.lasts_s * 1000),
        )
        path = self._binding.pressed_at.format(installation=place.installation_id)
        url = f"{self._house.settings.public_address}{path}"
        return Button(offer.label, url, signed(key, context), offer.style)

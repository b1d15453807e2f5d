"""Carry out the directive that says something to one account alone, in the direct messages of the two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from adapters.contract import Adapter, LooksUp, Outbound, ReachesOne, Receipt
from fleetprompt.connectors.deliver import DEFAULT_MAX_RUNES, PostEffector
from fleetprompt.model import Directive, Installation
from fleetprompt.runtime.directives import EffectTry
from fleetprompt.tenancy import TenantSession
from fleetprompt.tenancy.rows import get

MOST_POSTS = 4


class PrivateArguments(BaseModel):
    """Who is told what. account_id: as the far side names it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    account_id: str = Field(min_length=1, max_length=200)
    text: str = Field(min_length=1, max_length=100_000)


class PrivateEffector(PostEffector):
    """Direct messages of one chat connector. What is asked for is the account; the channel is found at each try."""

    async def plan(self, session: TenantSession, directive: Directive) -> Sequence[dict[str, Any]]:
        """One request for each post, of at most the server's limit."""
        installation = await get(session, Installation, directive.installation_id)
        account = installation.account if installation else {}
        max_runes = int(account.get("max_text_runes") or DEFAULT_MAX_RUNES)
        parts = self._cut(directive.arguments["text"], max_runes, MOST_POSTS)
        return [{"account_id": directive.arguments["account_id"], "text": part} for part in parts]

    async def _send(self, adapter: Adapter, effect: EffectTry) -> Receipt:
        return await adapter.send(await _outbound(adapter, effect))

    async def _find(self, adapter: Adapter, effect: EffectTry) -> Receipt | None:
        assert isinstance(adapter, LooksUp)
        return await adapter.look_up(await _outbound(adapter, effect))


async def _outbound(adapter: Adapter, effect: EffectTry) -> Outbound:
    assert isinstance(adapter, ReachesOne)
    place = await adapter.direct(effect.request["account_id"])
    return Outbound(effect.key, place, effect.request["text"], effect.first_tried_at_ms)

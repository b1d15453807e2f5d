"""Carry out the directive that changes a post of ours: one post that is edited at each change of state.

The post is named by the directive that made it, since it may not be there yet. An edit states the whole text, so a
repeat does no harm; the order of several is their lane's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from adapters.contract import Adapter, Edits, Receipt
from fleetprompt.connectors.deliver import DEFAULT_MAX_RUNES, PostEffector
from fleetprompt.model import Directive, Effect, Installation
from fleetprompt.model.states import DirectiveState
from fleetprompt.runtime.directives import Absent, EffectTry, Outcome, Refused, RetryIn
from fleetprompt.tenancy import TenantSession
from fleetprompt.tenancy.rows import get

NEVER_POSTED: Final = (DirectiveState.FAILED, DirectiveState.CANCELED, DirectiveState.OUTCOME_UNKNOWN)
LOOK_AGAIN_S: Final = 0.5


class UpdateArguments(BaseModel):
    """The directive that posted it, and the new text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    directive_id: UUID
    text: str = Field(min_length=1, max_length=100_000)


class UpdateEffector(PostEffector):
    """Edits of one chat connector."""

    async def plan(self, session: TenantSession, directive: Directive) -> Sequence[dict[str, Any]]:
        """One edit; of a text beyond the server's limit the first part."""
        installation = await get(session, Installation, directive.installation_id)
        account = installation.account if installation else {}
        max_runes = int(account.get("max_text_runes") or DEFAULT_MAX_RUNES)
        text = self._cut(directive.arguments["text"], max_runes, 1)[0]
        return [{"directive_id": directive.arguments["directive_id"], "text": text}]

    async def perform(self, effect: EffectTry) -> Outcome:
        """Edit, once it is posted."""
        found = await self._posted(effect)
        if not isinstance(found, str):
            return found
        return await super().perform(replace(effect, request={**effect.request, "external_id": found}))

    async def look_up(self, effect: EffectTry) -> Absent:
        """Doing it again is the same."""
        return Absent()

    async def _send(self, adapter: Adapter, effect: EffectTry) -> Receipt:
        assert isinstance(adapter, Edits)
        return await adapter.edit(effect.request["external_id"], effect.request["text"])

    async def _posted(self, effect: EffectTry) -> str | RetryIn | Refused:
        """The post's id over there."""
        posted_by = UUID(effect.request["directive_id"])
        query = (
            select(Directive.state, Effect.receipt)
            .outerjoin(Effect, (Effect.directive_id == Directive.id) & (Effect.part == 0))
            .where(Directive.id == posted_by)
        )
        async with self._tenancy.session(effect.tenant) as session:
            row = (await session.execute(query)).one_or_none()
        state, receipt = row or (DirectiveState.CANCELED, None)
        if receipt and "external_id" in receipt:
            return str(receipt["external_id"])
        if state in NEVER_POSTED or state == DirectiveState.SUCCEEDED:
            return Refused("not_posted", "What was to be edited was never posted.")
        return RetryIn(
            LOOK_AGAIN_S, "not_posted_yet", "What is to be edited is not posted yet.", forgiven=True
        )

"""The link by which a secret is handed over, sent to one person alone.

The token is made while it is sent and stands in no table of ours but as its hash: a try that died before the post made
a token that nobody has, and the next one makes it void.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from fleetprompt.accounts import NotAllowed, Role
from fleetprompt.kernel.errors import FleetPromptError
from fleetprompt.model import Directive, Installation
from fleetprompt.packages import secret_links
from fleetprompt.packages.house import House
from fleetprompt.runtime.directives import (
    Absent,
    Delivered,
    DirectiveType,
    Effector,
    EffectTry,
    NewDirective,
    Outcome,
    Refused,
    RetryIn,
    Unclear,
    request,
)
from fleetprompt.runtime.people import require_right
from fleetprompt.runtime.signals import Actor
from fleetprompt.tenancy import TenantSession

SEND: Final = "package.secret_link.send"
NOWHERE: Final = UUID(int=0)
TEXT: Final = (
    "Hand over the secret `{credential}` of `{package}` here:\n{url}\n"
    "The link is yours alone, works once, and for 15 minutes. Never write a secret into a chat, not even here."
)


class LinkArguments(BaseModel):
    """Whom to ask for which secret. conversation_id: where they asked; None = by a door without one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    connector: str
    account_id: str
    user_id: UUID
    target_id: UUID
    package: str
    credential: str
    conversation_id: UUID | None = None


def register(house: House) -> None:
    """Called once by the commands' own registration."""
    about = "Send one person the link by which a secret is handed over."
    house.registry.add_directive(DirectiveType(SEND, about, LinkArguments, LinkEffector(house)))
    house.registry.rechecks.append(_recheck)


async def send_link(
    session: TenantSession,
    house: House,
    door: dict[str, Any],
    by: Actor,
    user_id: UUID,
    installation: Installation,
    credential: str,
    key: str,
) -> None:
    """Once for each key. A chat that reaches nobody alone sends none."""
    channel = house.registry.channels.get(str(door["connector"]))
    if channel is None or not channel.private:
        return
    arguments = {
        "connector": door["connector"],
        "account_id": door["subject"],
        "user_id": str(user_id),
        "target_id": str(installation.id),
        "package": installation.package,
        "credential": credential,
        "conversation_id": door.get("conversation_id"),
    }
    summary = f"A person is asked for the secret {credential} of {installation.package}."
    new = NewDirective(SEND, key, arguments, summary, by, installation_id=UUID(str(door["installation_id"])))
    await request(session, house.registry, new)


class LinkEffector:
    """Makes the token, and lets the chat's own effector send it."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def plan(self, session: TenantSession, directive: Directive) -> Sequence[dict[str, Any]]:
        """One message; its text is made when it is sent."""
        return [dict(directive.arguments)]

    async def perform(self, effect: EffectTry) -> Outcome:
        """Send a fresh link."""
        try:
            async with self._house.tenancy.session(effect.tenant) as session:
                token = await _issue(session, effect)
        except FleetPromptError as error:
            return Refused(error.code, str(error))
        url = secret_links.link_url(self._house.settings, token)
        text = TEXT.format(url=url, **{name: effect.request[name] for name in ("credential", "package")})
        return await self._chat(effect).perform(_message(effect, text))

    async def look_up(self, effect: EffectTry) -> Delivered | Absent | RetryIn | Unclear:
        """Whether one arrived; it is found by its key, not by its text."""
        return await self._chat(effect).look_up(_message(effect, ""))

    def _chat(self, effect: EffectTry) -> Effector:
        registry = self._house.registry
        return registry.directives[registry.channels[effect.request["connector"]].private].effector


async def _issue(session: TenantSession, effect: EffectTry) -> str:
    asked = effect.request
    assert effect.installation_id is not None
    conversation_id = asked["conversation_id"]
    asker = secret_links.Asker(
        effect.installation_id, asked["account_id"], UUID(conversation_id) if conversation_id else NOWHERE
    )
    return await secret_links.issue(
        session,
        user_id=UUID(asked["user_id"]),
        installation_id=UUID(asked["target_id"]),
        credential=asked["credential"],
        asker=asker,
    )


def _message(effect: EffectTry, text: str) -> EffectTry:
    return replace(effect, request={"account_id": effect.request["account_id"], "text": text})


async def _recheck(session: TenantSession, directive: Directive) -> str | None:
    """Whoever asked must still be an admin when it is sent."""
    if directive.name != SEND:
        return None
    try:
        await require_right(session, Actor(directive.actor_kind, directive.actor_id), Role.ADMIN)
    except NotAllowed as error:
        return str(error)
    return None

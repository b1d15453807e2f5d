"""Slash commands and presses of buttons of a Mattermost server: proven, stored, worked on behind the door.

A command is its writer's and ours alone: so are its answers. Its token is compared in constant time and stored nowhere. A
press is unsigned; its context is what we signed (`connectors.buttons`), which no client of the server ever sees.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr
from sqlalchemy import select

from adapters.contract import Author, AuthorKind, Cursor, EventKind, Inbound, Place
from fleetprompt.connectors import buttons, pasted, revoking
from fleetprompt.connectors.doors import NotOurs, Taken, enabled, in_time, take, tenant_of
from fleetprompt.connectors.ingest import Source
from fleetprompt.connectors.mattermost.binding import SLASH_TOKEN
from fleetprompt.kernel import clock, faults
from fleetprompt.kernel.errors import FleetPromptError
from fleetprompt.kernel.ids import SignalId, TenantSlug
from fleetprompt.model import Installation, Message
from fleetprompt.packages.house import House
from fleetprompt.runtime.signals import Actor, Emitted
from fleetprompt.tenancy import TenantSession

PACKAGE: Final = "mattermost"
COMMAND: Final = "chat.command.received"
ACTION: Final = "chat.action.received"
NOT_KNOWN_YET_S: Final = (0.05, 0.2, 0.3)
_NOBODYS: Final = os.urandom(32).hex()  # compared with where there is no token, so that this takes as long


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("it has a NUL")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("it has half of a surrogate pair") from None
    return text


Text = Annotated[str, AfterValidator(_storable)]
Id = Annotated[str, Field(pattern=r"^[a-z0-9]{26}$")]
NoId = Annotated[str, Field(pattern=r"^([a-z0-9]{26})?$")]
Name = Annotated[Text, Field(max_length=200)]


class CommandSent(BaseModel):
    """The fields of a slash command that count; the server sends more, and may send others some day."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    token: SecretStr = Field(min_length=1, max_length=200)
    channel_id: Id
    channel_name: Name = ""
    team_id: NoId = ""
    command: Annotated[Text, Field(min_length=1, max_length=200)]
    text: Annotated[Text, Field(max_length=20_000)] = ""
    trigger_id: Annotated[Text, Field(max_length=2000)] = ""
    user_id: Id
    user_name: Name = ""


class ActionSent(BaseModel):
    """The fields of a pressed button that count."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, hide_input_in_errors=True)

    user_id: Id
    user_name: Name = ""
    channel_id: Id
    channel_name: Name = ""
    team_id: NoId = ""
    post_id: Id
    trigger_id: Annotated[Text, Field(max_length=2000)] = ""
    context: dict[str, Any] = Field(max_length=20)


class TooLate(FleetPromptError):
    """The button was ours, and does not count any more, or not for this person."""

    code = "conflict"


class NotKnownYet(TooLate):
    """It was pressed before the answer to its post was recorded."""


async def take_command(house: House, installation_id: UUID, sent: CommandSent, body: bytes) -> Taken:
    """Store a slash command. body: names it, should it come without a trigger. Raises NotOurs, Unavailable."""
    async with in_time():
        try:
            tenant = await tenant_of(house, PACKAGE, installation_id)
            return await _take_command(house, tenant, installation_id, sent, body)
        except NotOurs:
            _is_token(sent, "")  # takes as long
            raise


async def take_action(house: House, installation_id: UUID, sent: ActionSent, body: bytes) -> Taken:
    """Store a press of a button. Raises NotOurs, TooLate, Unavailable."""
    async with in_time():
        tenant = await tenant_of(house, PACKAGE, installation_id)
        context = buttons.opened(await house.vault.key_of(tenant), sent.context)
        if context.installation != str(installation_id) or context.channel != sent.channel_id:
            raise NotOurs
        for pause_s in NOT_KNOWN_YET_S:
            with contextlib.suppress(NotKnownYet):
                return await _take_action(house, tenant, installation_id, sent, context, body)
            await asyncio.sleep(pause_s)
        raise NotKnownYet("This button is not known yet.", "Press it again in a moment.")


async def _take_action(
    house: House,
    tenant: TenantSlug,
    installation_id: UUID,
    sent: ActionSent,
    context: buttons.Context,
    body: bytes,
) -> Taken:
    async with house.tenancy.session(tenant) as session:
        installation = await enabled(session, installation_id)
        conversation_id = await _conversation_of(session, installation_id, sent.post_id, context)
        _require_in_time(context, sent.user_id)
        once = sent.trigger_id or hashlib.sha256(body).hexdigest()
        person = Actor("human", sent.user_id, sent.user_name)
        kept = _pressed(sent, context)
        taken = await take(
            session, house.registry, ACTION, installation, person, kept, once, conversation_id=conversation_id
        )
    faults.reach("door.committed")
    return taken


async def _conversation_of(
    session: TenantSession, installation_id: UUID, post_id: str, context: buttons.Context
) -> UUID:
    """Where the button stands. Raises NotOurs for a post that is not the one it was made for."""
    query = select(Message.conversation_id, Message.directive_id).where(
        Message.installation_id == installation_id, Message.external_id == post_id
    )
    found = (await session.execute(query)).one_or_none()
    if found is None or found.directive_id is None:
        raise NotKnownYet("Its post is not recorded.")
    if str(found.directive_id) != context.directive:
        raise NotOurs
    conversation_id: UUID = found.conversation_id
    return conversation_id


def _require_in_time(context: buttons.Context, user_id: str) -> None:
    if context.until_ms < clock.now_ms():
        raise TooLate("This button is too old.", "Ask again, and you get another one.")
    if context.subject not in ("", user_id):
        raise TooLate("This is somebody else's to decide.", "")


def _pressed(sent: ActionSent, context: buttons.Context) -> dict[str, Any]:
    place = {"channel_id": sent.channel_id, "channel_name": sent.channel_name, "channel_kind": ""}
    return {
        "account": {"id": sent.user_id, "name": sent.user_name},
        "place": {**place, "team_id": sent.team_id},
        "text": context.says,
        "post_id": sent.post_id,
        "directive_id": context.directive,
        "sent_at_ms": clock.now_ms(),
    }


async def _take_command(
    house: House, tenant: TenantSlug, installation_id: UUID, sent: CommandSent, body: bytes
) -> Taken:
    async with house.tenancy.session(tenant) as session:
        installation = await enabled(session, installation_id)
        secrets = await house.vault.read_all(session, installation_id)
        known = secrets.get(SLASH_TOKEN)
        if not _is_token(sent, known.reveal() if known else ""):
            raise NotOurs
        once = sent.trigger_id or hashlib.sha256(body).hexdigest()
        told = (_source(tenant, installation), _as_event(sent, once))
        waiting = await pasted.awaited(session, installation_id)
        [(_, clean)], removed = pasted.cleaned([told], waiting, {}, {})
        kept = _payload(sent, installation, clean, removed)
        person = Actor("human", sent.user_id, sent.user_name)
        taken = await take(session, house.registry, COMMAND, installation, person, kept, once)
        stored = Emitted(SignalId(taken.signal_id), taken.fresh)
        await revoking.tell(session, house.registry, installation_id, removed, [stored])
    faults.reach("door.committed")
    return replace(taken, notice=_advice(removed)) if removed else taken


def _is_token(sent: CommandSent, known: str) -> bool:
    """Digests are compared, so that not even the length shows."""
    given, wanted = (
        hashlib.sha256(one.encode()).digest() for one in (sent.token.get_secret_value(), known or _NOBODYS)
    )
    return hmac.compare_digest(given, wanted) and bool(known)


def _source(tenant: TenantSlug, installation: Installation) -> Source:
    return Source(tenant, installation.id, installation.generation, installation.package, str)


def _as_event(sent: CommandSent, once: str) -> Inbound:
    """As if it had been written to us alone: nobody else reads it."""
    return Inbound(
        EventKind.MESSAGE,
        f"command:{hashlib.sha256(once.encode()).hexdigest()}",
        "",
        Author(sent.user_id, AuthorKind.PERSON, sent.user_name),
        Place(sent.channel_id, "direct"),
        sent.text.strip(),
        clock.now_ms(),
        addressed=True,
        raw=b"",
        cursor=Cursor(""),
    )


def _advice(removed: Sequence[pasted.Taken]) -> str:
    """What whoever pasted a secret is told at once."""
    kinds = [kind for one in removed for kind in one.kinds]
    if pasted.AWAITED in kinds:
        return revoking.WAITED
    return revoking.SHAPED.format(kinds=", ".join(kind.replace("_", " ") for kind in kinds))


def _payload(
    sent: CommandSent, installation: Installation, clean: Inbound, removed: Sequence[pasted.Taken]
) -> dict[str, Any]:
    """What is kept: neither the token nor the address for late answers, which opens a channel to whoever knows it."""
    return {
        "account": {"id": sent.user_id, "name": sent.user_name},
        "place": {
            "channel_id": sent.channel_id,
            "channel_name": sent.channel_name,
            "channel_kind": "direct" if _is_ours_alone(installation, sent) else "",
            "team_id": sent.team_id,
        },
        "command": sent.command,
        "text": clean.text,
        "withheld": any(pasted.AWAITED in one.kinds for one in removed),
        "sent_at_ms": clean.sent_at_ms,
    }


def _is_ours_alone(installation: Installation, sent: CommandSent) -> bool:
    """Direct channels are named after both accounts."""
    both = {str(installation.account.get("id", "")), sent.user_id}
    return set(sent.channel_name.split("__")) == both

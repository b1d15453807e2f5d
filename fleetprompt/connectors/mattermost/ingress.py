"""Slash commands of a Mattermost server, as they come in: proven by their token, stored, worked on behind the door.

A command is its writer's and ours alone: so are its answers. The token is in the body and in a header; it is compared in
constant time, and stored nowhere. `shared/wire`: form-encoded, no `root_id`; the server waits thirty seconds.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from fleetprompt.connectors.doors import AWAY, STORED_WITHIN_S, NotOurs, Taken, enabled, take, tenant_of
from fleetprompt.connectors.mattermost.binding import SLASH_TOKEN
from fleetprompt.database.engine import is_away
from fleetprompt.kernel import clock, faults
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import Installation
from fleetprompt.packages.house import House
from fleetprompt.runtime.signals import Actor

PACKAGE: Final = "mattermost"
COMMAND: Final = "chat.command.received"
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


async def take_command(house: House, installation_id: UUID, sent: CommandSent, body: bytes) -> Taken:
    """Store a slash command. body: names it, should it come without a trigger. Raises NotOurs, Unavailable."""
    try:
        async with asyncio.timeout(STORED_WITHIN_S):
            tenant = await tenant_of(house, PACKAGE, installation_id)
            return await _take(house, tenant, installation_id, sent, body)
    except TimeoutError as error:
        raise AWAY from error
    except Exception as error:
        if is_away(error):
            raise AWAY from error
        if isinstance(error, NotOurs):
            _is_token(sent, "")
        raise


async def _take(
    house: House, tenant: TenantSlug, installation_id: UUID, sent: CommandSent, body: bytes
) -> Taken:
    async with house.tenancy.session(tenant) as session:
        installation = await enabled(session, installation_id)
        secrets = await house.vault.read_all(session, installation_id)
        known = secrets.get(SLASH_TOKEN)
        if not _is_token(sent, known.reveal() if known else ""):
            raise NotOurs
        once = sent.trigger_id or hashlib.sha256(body).hexdigest()
        person = Actor("human", sent.user_id, sent.user_name)
        taken = await take(
            session, house.registry, COMMAND, installation, person, _payload(sent, installation), once
        )
    faults.reach("door.committed")
    return taken


def _is_token(sent: CommandSent, known: str) -> bool:
    """Digests are compared, so that not even the length shows."""
    given, wanted = (
        hashlib.sha256(one.encode()).digest() for one in (sent.token.get_secret_value(), known or _NOBODYS)
    )
    return hmac.compare_digest(given, wanted) and bool(known)


def _payload(sent: CommandSent, installation: Installation) -> dict[str, Any]:
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
        "text": sent.text.strip(),
        "sent_at_ms": clock.now_ms(),
    }


def _is_ours_alone(installation: Installation, sent: CommandSent) -> bool:
    """Direct channels are named after both accounts."""
    both = {str(installation.account.get("id", "")), sent.user_id}
    return set(sent.channel_name.split("__")) == both

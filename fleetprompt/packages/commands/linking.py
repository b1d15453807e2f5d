"""Who somebody is: a chat account is tied to a person by a code that they made when they were logged in."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from fleetprompt.accounts import codes, identities, throttle
from fleetprompt.accounts.codes import CodeKind, InvalidCode
from fleetprompt.accounts.throttle import Bucket
from fleetprompt.packages.commands.context import Context
from fleetprompt.runtime.people import fact_teller
from fleetprompt.runtime.signals import Actor
from fleetprompt.tenancy.registry import in_registry

TRIES: Final = 10
"""Codes that one account may try in a quarter of an hour."""


def account_of(context: Context) -> dict[str, Any]:
    """How an identity names the account that asks."""
    asked = context.asked
    return {"connector": asked.connector, "server_key": asked.server_key, "subject": asked.subject}


async def link(context: Context) -> str:
    """Tie the account; in a direct message alone, since whoever reads the code could be quicker."""
    asked = context.asked
    whose = (asked.tenant, *account_of(context).values())
    await throttle.count(context.house.tenancy.database, Bucket("link", whose, TRIES))
    async with context.session() as session:
        tell = fact_teller(context.house.registry, _account(context))
        if not asked.is_direct:
            with suppress(InvalidCode):
                async with in_registry(session):
                    bearer = await codes.look_up(session, CodeKind.LINK, context.command.word, asked.tenant)
                    await codes.redeem(session, bearer)
            return "Others read here, so I made that code void. Make another, and send it to me in a direct message."
        if context.member is not None and await _was_linked(context):
            return f"This account is {context.member.name}'s already."
        member = await identities.redeem_link(
            session, tell, context.command.word, **account_of(context), name=asked.subject_name
        )
    return (
        f"You are {member.name} from now on, {member.role} of `{asked.tenant}`. `help` says what can be said."
    )


async def _was_linked(context: Context) -> bool:
    """A message that is handled again finds its code used by itself."""
    async with context.session() as session:
        with suppress(InvalidCode):
            async with in_registry(session):
                await codes.look_up(session, CodeKind.LINK, context.command.word, context.asked.tenant)
            return False
    return True


async def unlink(context: Context) -> str:
    """Untie it."""
    async with context.session() as session:
        await identities.unlink(
            session, fact_teller(context.house.registry, context.actor), **account_of(context)
        )
    return "This account is nobody's from now on. `link CODE`, in a direct message, ties it again."


def _account(context: Context) -> Actor:
    return Actor("human", context.asked.subject, context.asked.subject_name)

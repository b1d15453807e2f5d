"""One entry for all doors: a text becomes its answer, and what it changes is recorded on the way.

Nothing here is open while a person waits: what takes long runs in jobs, and shows itself in the plan's post.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from sqlalchemy import select

from fleetprompt.accounts import Member, NotAllowed, identities, require_member_here, throttle
from fleetprompt.kernel.errors import FleetPromptError
from fleetprompt.model import Package
from fleetprompt.packages.commands import changing, deciding, linking, reading
from fleetprompt.packages.commands.asked import Asked
from fleetprompt.packages.commands.context import Context, in_chat
from fleetprompt.packages.commands.grammar import Command, Unclear, parse
from fleetprompt.packages.commands.verbs import VERBS
from fleetprompt.packages.house import House
from fleetprompt.tenancy import TenantSession
from fleetprompt.tenancy.registry import in_registry

MOST_A_MINUTE: Final = 60
Answer = Callable[[Context], Awaitable[str]]
ANSWERS: Final[Mapping[str, Answer]] = {
    "help": reading.help_,
    "whoami": reading.whoami,
    "link": linking.link,
    "unlink": linking.unlink,
    "search": reading.search,
    "info": reading.info,
    "status": reading.status,
    "install": changing.plan,
    "confirm": changing.confirm,
    "configure": changing.configure,
    "secret": changing.secret,
    "test": reading.test,
    "audit": reading.audit,
    "enable": changing.switch,
    "disable": changing.switch,
    "reauth": changing.secret,
    "upgrade": changing.plan,
    "rollback": changing.plan,
    "uninstall": changing.plan,
    "approve": deciding.approve,
    "reject": deciding.reject,
    "pause-all": deciding.pause_all,
}


async def obey(house: House, asked: Asked) -> str:
    """The answer, Markdown; "" where a post of its own says all. Call it outside any transaction.

    The same request again (by its key) finds what it did, and does nothing twice. Never raises for what a person
    said or may not do.
    """
    try:
        refused = await _too_often(house, asked)
        return await _obey(house, asked) if refused is None else refused
    except FleetPromptError as error:
        return in_chat(error)


async def _too_often(house: House, asked: Asked) -> str | None:
    """What somebody is told who says more than a person can; in a channel once a minute, and then nothing."""
    account = (asked.tenant, asked.connector, asked.server_key, asked.subject)
    bucket = throttle.Bucket("commands", account, MOST_A_MINUTE, 60.0)
    tries, left_s = await throttle.tally(house.tenancy.database, bucket)
    if tries <= MOST_A_MINUTE:
        return None
    said = f"That were {MOST_A_MINUTE} commands within a minute. Wait {max(1, round(left_s))} seconds, then say it again."
    return said if asked.is_alone or tries == MOST_A_MINUTE + 1 else ""


async def _obey(house: House, asked: Asked) -> str:
    async with house.tenancy.session(asked.tenant) as session:
        known = await known_packages(session)
        member = await _member(session, asked)
    parsed = parse(asked.text, known, certain=asked.certain)
    if parsed is None:
        return ""
    if isinstance(parsed, Unclear):
        return parsed.said
    context = Context(house, asked, parsed, member)
    refusal = await _refusal(context, parsed)
    return refusal if refusal is not None else await ANSWERS[parsed.verb](context)


async def known_packages(session: TenantSession) -> list[str]:
    """The slugs of the registry."""
    async with in_registry(session):
        return list(await session.scalars(select(Package.slug)))


async def _member(session: TenantSession, asked: Asked) -> Member | None:
    return await identities.member_behind(
        session, connector=asked.connector, server_key=asked.server_key, subject=asked.subject
    )


async def _refusal(context: Context, command: Command) -> str | None:
    """Why this person may not, and who may; None if they may."""
    role = VERBS[command.verb].role
    if role is None:
        return None
    if context.member is None:
        return f"For `{command.verb}` I have to know who you are. {reading.how_to_link(context)}"
    try:
        async with context.session() as session:
            await require_member_here(session, context.member.user_id, role)
    except NotAllowed as error:
        return in_chat(error)
    return None

"""What became of linked accounts on their servers: a new name keeps the rights, a deactivated account loses them.

A deactivated account can say nothing there; this ends what it could still do from elsewhere, and tells so. Asked once an
hour, of each server once, and only about accounts that somebody linked. A server that cannot be asked changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy import select

from adapters.contract import AccountNow, KnowsAccounts
from adapters.errors import AdapterError
from fleetprompt.accounts import identities
from fleetprompt.accounts.identities import Account
from fleetprompt.connectors.binding import Binding
from fleetprompt.connectors.pool import AdapterPool
from fleetprompt.kernel.json import clean_text
from fleetprompt.model import Installation
from fleetprompt.model.states import IN_FORCE
from fleetprompt.packages.house import House
from fleetprompt.runtime.jobs.work import Work
from fleetprompt.runtime.people import fact_teller
from fleetprompt.runtime.registry import JobKind, Recurring
from fleetprompt.runtime.signals import Actor
from fleetprompt.telemetry import get_logger

NAME: Final = "accounts.check"
HOURLY: Final = Recurring(NAME, NAME, "41 * * * *")


def register_accounts(house: House, pool: AdapterPool, bindings: Mapping[str, Binding]) -> None:
    """Called once by the connectors' own registration."""

    async def check(work: Work) -> None:
        for installation, accounts in await _linked(work, bindings):
            for account in accounts:
                now = await _ask(work, pool, installation, account)
                if now is None:
                    break  # the others of this server in an hour
                await _note(work, house, account, now)

    house.registry.add_job(JobKind(NAME, check))
    house.registry.add_recurring(HOURLY)


async def _linked(work: Work, bindings: Mapping[str, Binding]) -> list[tuple[Installation, list[Account]]]:
    """The accounts of each server, with one installation that talks to it."""
    async with work.step() as session:
        accounts = await identities.linked_here(session)
        if not accounts:
            return []
        found = await session.scalars(select(Installation).where(Installation.state.in_(IN_FORCE)))
        servers = {_server(one, bindings): one for one in found}
    mine = {key: [one for one in accounts if (one.connector, one.server_key) == key] for key in servers}
    return [(servers[key], theirs) for key, theirs in mine.items() if theirs]


def _server(installation: Installation, bindings: Mapping[str, Binding]) -> tuple[str, str]:
    binding = bindings.get(installation.package)
    if binding is None or binding.server_key is None:
        return installation.package, ""
    return installation.package, binding.server_key(installation.config)


async def _ask(
    work: Work, pool: AdapterPool, installation: Installation, account: Account
) -> AccountNow | None:
    """None when the server cannot tell now."""
    try:
        async with pool.lend(work.tenant, installation) as adapter:
            return await adapter.account(account.subject) if isinstance(adapter, KnowsAccounts) else None
    except AdapterError as error:
        get_logger(__name__).info("accounts not checked", org=work.tenant, error=error.code)
        return None


async def _note(work: Work, house: House, account: Account, now: AccountNow) -> None:
    key = {"connector": account.connector, "server_key": account.server_key, "subject": account.subject}
    tell = fact_teller(house.registry, Actor("integration", account.connector, account.connector))
    name = clean_text(now.name)
    if now.is_active == account.is_active and (name == account.name or not now.is_active):
        return
    async with work.step() as session:
        if not now.is_active:
            await identities.deactivate(session, tell, **key)
            return
        await identities.reactivate(session, tell, **key)
        await identities.rename(session, tell, **key, name=name)

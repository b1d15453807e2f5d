"""In whose name a decision is made: a member's with --by, else that of the machine's operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import rich_click as click

from fleetprompt.cli.running import operator

if TYPE_CHECKING:
    from fleetprompt.runtime.signals import Actor
    from fleetprompt.tenancy import TenantSession

by = click.option(
    "--by",
    metavar="EMAIL",
    help="The admin or owner who decides; without it, the operator of this machine.",
)


async def decider(session: TenantSession, email: str | None) -> Actor:
    """Raises NotFound for an address that is no member's; the decision itself asks for the right."""
    if email is None:
        return operator()
    from fleetprompt.accounts import find_member
    from fleetprompt.runtime.people import as_actor

    return as_actor(await find_member(session, email))

"""A secret is handed over by its link: the attempt is counted, the far side is tried, what works is kept, the link is closed.

    begin     the attempt is counted                                             (one commit)
    provide   tried live; then sealed, with the directive that puts it in force  (one commit, `lifecycle.provide_secret`)
    finish    the link is used, or a try less is left                            (one commit)

A death after the first costs an attempt; after the second the secret is kept, and the link stays open until it expires.
"""

from __future__ import annotations

from uuid import UUID

from fleetprompt.accounts import Role, require_member_here
from fleetprompt.kernel import faults
from fleetprompt.kernel.errors import FleetPromptError, InvalidInput
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.kernel.secret import Secret
from fleetprompt.packages import lifecycle, secret_links
from fleetprompt.packages.house import House
from fleetprompt.packages.lifecycle import Asked
from fleetprompt.packages.secret_links import Opened
from fleetprompt.runtime.signals import Actor

faults.declare(["secret_link.begun", "secret_link.provided"])


async def open_link(house: House, tenant: TenantSlug, token: str, user_id: UUID) -> Opened:
    """What a link is for; consumes nothing. Raises LinkRefused, or NotAllowed for who is no admin (any more)."""
    async with house.tenancy.session(tenant) as session:
        await require_member_here(session, user_id, Role.ADMIN)
        return await secret_links.look(session, token, user_id=user_id)


async def hand_over(
    house: House, tenant: TenantSlug, token: str, user_id: UUID, secret: Secret, actor: Actor
) -> Asked:
    """Raises LinkRefused, NotAllowed; or what is wrong with the secret, which costs an attempt unless it is empty."""
    if not secret:
        raise InvalidInput("Nothing was entered.", "Paste the secret, then send.")
    async with house.tenancy.session(tenant) as session:
        await require_member_here(session, user_id, Role.ADMIN)
        opened = await secret_links.begin(session, token, user_id=user_id)
    faults.reach("secret_link.begun")
    try:
        asked = await lifecycle.provide_secret(
            house,
            tenant,
            opened.installation_id,
            opened.credential,
            secret,
            actor,
            bound_to=opened.bound_to,
        )
    except FleetPromptError as error:
        await _finish(house, tenant, opened, actor, error)
        raise
    faults.reach("secret_link.provided")
    await _finish(house, tenant, opened, actor, None)
    return asked


async def _finish(
    house: House, tenant: TenantSlug, opened: Opened, actor: Actor, refused: FleetPromptError | None
) -> None:
    async with house.tenancy.session(tenant) as session:
        await secret_links.finish(session, house.registry, opened.link_id, actor, refused=refused)

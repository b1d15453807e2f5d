"""Who decides about directives: an admin or owner, at the moment of the decision and still when it is carried out."""

from __future__ import annotations

from typing import Final

from fleetprompt.accounts import NotAllowed, Role
from fleetprompt.model import Directive
from fleetprompt.runtime.people import require_right
from fleetprompt.runtime.signals import Actor
from fleetprompt.tenancy import TenantSession

DECIDES: Final = Role.ADMIN


async def require_decider(session: TenantSession, by: Actor) -> None:
    """Raises NotAllowed for a user of ours without the right; it cannot be taken away before the commit."""
    await require_right(session, by, DECIDES)


async def recheck(session: TenantSession, directive: Directive) -> str | None:
    """Why an approval counts no longer: whoever gave it may not give it now. None if it counts.

    The directive then fails instead of waiting for approval once more: whoever asked for it learns that nothing
    happened, and nobody finds a question that was answered open again.
    """
    kind, _, actor_id = (directive.approved_by or "").partition(":")
    if not actor_id:
        return None
    try:
        await require_decider(session, Actor(kind, actor_id))
    except NotAllowed as error:
        return f"The approval counts no longer. {error.what} Ask again, and let somebody else approve it."
    return None

"""People as those who act: their name in signals, the signals of their memberships, and jobs that run for them."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from fleetprompt.accounts import Member, NotAllowed, Role, require_member, require_member_here
from fleetprompt.accounts.change import Change, Tell
from fleetprompt.accounts.facts import Fact, TellFact
from fleetprompt.runtime.jobs.work import GiveUp, Work
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import Actor, NewSignal, emit
from fleetprompt.tenancy import TenantSession

NAMES = {
    "membership.added": "A person became a member of the organization.",
    "membership.role_changed": "A member got another role.",
    "membership.suspended": "A member lost all rights for a time.",
    "membership.restored": "A suspended member got their rights back.",
    "membership.removed": "A person is a member no longer; their accounts are unlinked and their keys revoked.",
    "claim.issued": "A code was made by which a person sets their password.",
    "claim.redeemed": "A person set their password by such a code.",
    "identity.linked": "A person linked an account of a chat.",
    "identity.renamed": "A linked account has another name in its chat.",
    "identity.deactivated": "A linked account was deactivated in its chat, and gives no rights.",
    "identity.reactivated": "A linked account is active in its chat again.",
    "identity.unlinked": "A linked account is nobody's any more.",
    "api_key.created": "A key for a program was made.",
    "api_key.rotated": "A key for a program was replaced by a new one.",
    "api_key.revoked": "A key for a program was revoked.",
}
USER: Final = "user:"
"""Before the id of an actor who is one of our users, and not, say, an account of a chat server."""
PROGRAMS: Final = ("agent", "integration")


def register(registry: Registry) -> None:
    """Called once by the runtime's own registration."""
    for name, about in NAMES.items():
        registry.add_signal(name, about, retention="audit")


def membership_teller(registry: Registry, by: Actor) -> Tell:
    """Makes each change a signal of whoever made it. It names ids alone: addresses can be erased, signals not."""

    async def tell(session: TenantSession, change: Change) -> None:
        before, after = change.before, change.after
        payload = {
            "user_id": str(after.user_id),
            "role": after.role,
            "status": after.status,
            "role_before": before.role if before else None,
            "status_before": before.status if before else None,
        }
        await emit(session, registry, NewSignal(f"membership.{change.what}", payload, by))

    return tell


def fact_teller(registry: Registry, by: Actor) -> TellFact:
    """Makes each fact about people a signal of whoever brought it about."""

    async def tell(session: TenantSession, fact: Fact) -> None:
        await emit(session, registry, NewSignal(fact.name, fact.payload, by))

    return tell


def as_actor(member: Member) -> Actor:
    """How signals and decisions name a user."""
    return Actor("human", f"{USER}{member.user_id}", member.name)


def user_id_of(actor_id: str) -> UUID | None:
    """The user behind an actor's id; None for an actor who is none of our users. Raises NotAllowed for no id."""
    if not actor_id.startswith(USER):
        return None
    try:
        return UUID(actor_id.removeprefix(USER))
    except ValueError:
        raise NotAllowed("This names a user by something that is no id.") from None


async def require_right(session: TenantSession, by: Actor, at_least: Role) -> None:
    """Asked of users: the operator of the machine has every right, a program none. Raises NotAllowed.

    Whoever lets the people of a chat server decide names them as users of ours first (`as_actor`).
    """
    if by.kind in PROGRAMS:
        raise NotAllowed("This is for a person to decide, and no program.", "Let a member do it.")
    user_id = user_id_of(by.id)
    if user_id is not None:
        await require_member_here(session, user_id, at_least)


async def require_acting_user(work: Work) -> None:
    """A job whose arguments name a `user_id` runs on their behalf: as long as they are an active member (row 4).

    Raises GiveUp otherwise, before anything of the job has run.
    """
    if "user_id" not in work.args:
        return
    try:
        user_id = UUID(str(work.args["user_id"]))
    except ValueError:
        raise GiveUp(
            "The job names a user by something that is no id.", "Discard it, and ask again."
        ) from None
    try:
        await require_member(work.tenancy.database, work.tenant, user_id)
    except NotAllowed as error:
        raise GiveUp(error.what, error.advice) from error

"""Handing a secret over: the page behind a one-time link.

Looking consumes nothing, sending does, once the far side has taken the secret. What was sent is never shown again.
"""

from __future__ import annotations

from litestar import Response, get, post
from litestar.params import FromPath

from fleetprompt.accounts import Role, require_member_here
from fleetprompt.kernel import faults
from fleetprompt.kernel.errors import FleetPromptError, InvalidInput
from fleetprompt.kernel.secret import Secret
from fleetprompt.packages import lifecycle, secret_links
from fleetprompt.packages.secret_links import LinkRefused, Opened
from fleetprompt.surfaces.pages import forms
from fleetprompt.surfaces.pages.frame import render
from fleetprompt.surfaces.pages.front import PageRequest, front_of
from fleetprompt.surfaces.pages.people import Person, person
from fleetprompt.surfaces.status import status_of

GONE = 410

faults.declare(["secret_link.begun", "secret_link.provided"])


@get("/secret/{token:str}")
async def secret_page(request: PageRequest, token: FromPath[str]) -> Response[str]:
    who = await person(request)
    try:
        async with front_of(request).tenancy.session(who.tenant) as session:
            await require_member_here(session, who.user_id, Role.ADMIN)
            opened = await secret_links.look(session, token, user_id=who.user_id)
    except LinkRefused as error:
        return _refused(who, error)
    return _asking(who, opened)


@post("/secret/{token:str}", status_code=200)
async def hand_over(request: PageRequest, token: FromPath[str]) -> Response[str]:
    fields, who, front = await forms.form(request), await person(request), front_of(request)
    secret = Secret(fields.secret("secret").reveal().strip())
    try:
        async with front.tenancy.session(who.tenant) as session:
            await require_member_here(session, who.user_id, Role.ADMIN)
            if not secret:
                opened = await secret_links.look(session, token, user_id=who.user_id)
                return _asking(
                    who, opened, InvalidInput("Nothing was entered.", "Paste the secret, then send.")
                )
            opened = await secret_links.begin(session, token, user_id=who.user_id)
    except LinkRefused as error:
        return _refused(who, error)
    faults.reach("secret_link.begun")
    return await _provide(request, who, opened, token, secret)


async def _provide(
    request: PageRequest, who: Person, opened: Opened, token: str, secret: Secret
) -> Response[str]:
    """Try it on the far side, store it, close the link. A death after the second leaves a link that expires."""
    front, refused = front_of(request), None
    waits_for: tuple[str, ...] = ()
    try:
        asked = await lifecycle.provide_secret(
            front.packages, who.tenant, opened.installation_id, opened.credential, secret, who.actor
        )
        waits_for = asked.missing
    except FleetPromptError as error:
        refused = error
    faults.reach("secret_link.provided")
    async with front.tenancy.session(who.tenant) as session:
        await secret_links.finish(session, front.registry, opened.link_id, who.actor, refused=refused)
    if refused is None:
        return render("secret_taken.html", person=who, link=opened, waits_for=waits_for)
    try:
        async with front.tenancy.session(who.tenant) as session:
            return _asking(who, await secret_links.look(session, token, user_id=who.user_id), refused)
    except LinkRefused as error:
        return _refused(who, error, refused)


def _asking(who: Person, opened: Opened, error: FleetPromptError | None = None) -> Response[str]:
    status = 200 if error is None else status_of(error)
    return render("secret.html", status=status, person=who, link=opened, error=error)


def _refused(who: Person, error: LinkRefused, because: FleetPromptError | None = None) -> Response[str]:
    status = GONE if error.code == LinkRefused.code else status_of(error)
    return render("secret_refused.html", status=status, person=who, error=error, because=because)

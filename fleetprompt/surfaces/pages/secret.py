"""Handing a secret over: the page behind a one-time link.

Looking consumes nothing, sending does, once the far side has taken the secret. What was sent is never shown again.
"""

from __future__ import annotations

from litestar import Response, get, post
from litestar.params import FromPath

from fleetprompt.kernel.errors import FleetPromptError
from fleetprompt.kernel.secret import Secret
from fleetprompt.packages.handing_over import hand_over, open_link
from fleetprompt.packages.secret_links import LinkRefused, Opened
from fleetprompt.surfaces.pages import forms
from fleetprompt.surfaces.pages.frame import render
from fleetprompt.surfaces.pages.front import PageRequest, front_of
from fleetprompt.surfaces.pages.people import Person, person
from fleetprompt.surfaces.status import status_of

GONE = 410


@get("/secret/{token:str}")
async def secret_page(request: PageRequest, token: FromPath[str]) -> Response[str]:
    who = await person(request)
    try:
        return _asking(who, await open_link(front_of(request).packages, who.tenant, token, who.user_id))
    except LinkRefused as error:
        return _refused(who, error)


@post("/secret/{token:str}", status_code=200)
async def take_secret(request: PageRequest, token: FromPath[str]) -> Response[str]:
    fields, who, house = await forms.form(request), await person(request), front_of(request).packages
    secret, because = Secret(fields.secret("secret").reveal().strip()), None
    try:
        opened = await open_link(house, who.tenant, token, who.user_id)
        try:
            asked = await hand_over(house, who.tenant, token, who.user_id, secret, who.actor)
            return render("secret_taken.html", person=who, link=opened, waits_for=asked.missing)
        except LinkRefused:
            raise
        except FleetPromptError as error:
            because = error
        return _asking(who, await open_link(house, who.tenant, token, who.user_id), because)
    except LinkRefused as error:
        return _refused(who, error, because)


def _asking(who: Person, opened: Opened, error: FleetPromptError | None = None) -> Response[str]:
    status = 200 if error is None else status_of(error)
    return render("secret.html", status=status, person=who, link=opened, error=error)


def _refused(who: Person, error: LinkRefused, because: FleetPromptError | None = None) -> Response[str]:
    status = GONE if error.code == LinkRefused.code else status_of(error)
    return render("secret_refused.html", status=status, person=who, error=error, because=because)

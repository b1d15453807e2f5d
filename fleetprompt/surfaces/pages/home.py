"""The first page: who one is here, how the installations fare, and, for admins, who else is here."""

from __future__ import annotations

from litestar import Response, get

from fleetprompt.accounts import Member, members
from fleetprompt.packages import look
from fleetprompt.surfaces.pages.frame import HEADERS, render, stylesheet
from fleetprompt.surfaces.pages.front import PageRequest, front_of
from fleetprompt.surfaces.pages.people import Person, person


@get("/")
async def home_page(request: PageRequest) -> Response[str]:
    who = await person(request)
    return render(
        "home.html",
        person=who,
        installations=await look.status(front_of(request).packages, who.tenant),
        members=await _members(request, who),
    )


@get("/style.css")
async def style() -> Response[str]:
    headers = {**HEADERS, "Cache-Control": "public, max-age=86400"}
    return Response(stylesheet(), media_type="text/css; charset=utf-8", headers=headers)


async def _members(request: PageRequest, who: Person) -> list[Member]:
    """Who is here concerns those who look after them."""
    if not who.is_admin:
        return []
    async with front_of(request).tenancy.session(who.tenant) as session:
        return await members(session)

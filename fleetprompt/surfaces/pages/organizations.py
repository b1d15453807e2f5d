"""Choosing the organization whose pages are shown: among one's own, and by this page alone."""

from __future__ import annotations

from litestar import Response, get, post

from fleetprompt.accounts import sessions
from fleetprompt.surfaces.pages import forms
from fleetprompt.surfaces.pages.frame import render, see_other
from fleetprompt.surfaces.pages.front import PageRequest, front_of
from fleetprompt.surfaces.pages.people import csrf_of, safe_next, visitor
from fleetprompt.telemetry import event, events


@get("/organizations")
async def organizations_page(request: PageRequest) -> Response[str]:
    found = await visitor(request)
    return render(
        "organizations.html",
        visitor=found,
        choices=await sessions.choices_of(front_of(request).database, found.user_id),
        csrf=csrf_of(request),
        next=safe_next(request.query_params.get("next", "/")),
    )


@post("/organizations", status_code=200)
async def choose_organization(request: PageRequest) -> Response[str]:
    fields, found = await forms.form(request), await visitor(request)
    choice = await sessions.choose(front_of(request).database, found, fields.get("organization"))
    event(events.ORG_SELECT, org=choice.slug, user=str(found.user_id))
    return see_other(safe_next(fields.get("next")))

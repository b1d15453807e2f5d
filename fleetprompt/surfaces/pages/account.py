"""One's own account: linked chat accounts, their codes, the password."""

from __future__ import annotations

from uuid import UUID

from litestar import Response, get, post

from fleetprompt.accounts import identities, login, require_member_here
from fleetprompt.accounts.change import remove
from fleetprompt.accounts.passwords import MIN_CHARACTERS
from fleetprompt.kernel.errors import FleetPromptError, InvalidInput, NotFound
from fleetprompt.runtime.people import fact_teller, membership_teller
from fleetprompt.surfaces.pages import cookies, forms
from fleetprompt.surfaces.pages.entering import caller
from fleetprompt.surfaces.pages.frame import render, see_other
from fleetprompt.surfaces.pages.front import PageRequest, front_of
from fleetprompt.surfaces.pages.people import Person, person
from fleetprompt.surfaces.status import headers_of, status_of


@get("/link")
async def link_page(request: PageRequest) -> Response[str]:
    """Shows what a code is for: looking at a page changes nothing."""
    return render("link.html", person=await person(request), issued=None)


@post("/link", status_code=200)
async def make_link_code(request: PageRequest) -> Response[str]:
    await forms.form(request)
    who = await person(request)
    async with front_of(request).tenancy.session(who.tenant) as session:
        issued = await identities.issue_link(session, who.user_id)
    return render("link.html", person=who, issued=issued)


@get("/account")
async def account_page(request: PageRequest) -> Response[str]:
    return await _page(request, await person(request))


@post("/account/unlink", status_code=200)
async def unlink(request: PageRequest) -> Response[str]:
    fields, who, front = await forms.form(request), await person(request), front_of(request)
    try:
        identity_id = UUID(fields.get("identity"))
    except ValueError:
        raise NotFound("There is no such account.", "Load the page again.") from None
    async with front.tenancy.session(who.tenant) as session:
        await require_member_here(session, who.user_id)
        await identities.unlink_own(session, fact_teller(front.registry, who.actor), who.user_id, identity_id)
    return see_other("/account")


@post("/account/leave", status_code=200)
async def leave(request: PageRequest) -> Response[str]:
    """The last owner cannot: nobody in the organization could mend that."""
    fields, who, front = await forms.form(request), await person(request), front_of(request)
    try:
        if fields.get("organization") != who.tenant:
            raise InvalidInput(f"To leave, write {who.tenant} into the field.", "You are still a member.")
        async with front.tenancy.session(who.tenant) as session:
            await remove(session, membership_teller(front.registry, who.actor), who.user_id)
    except FleetPromptError as error:
        return await _page(request, who, error)
    return see_other("/organizations")


@post("/account/password", status_code=200)
async def change_password(request: PageRequest) -> Response[str]:
    fields, who, front = await forms.form(request), await person(request), front_of(request)
    new = fields.secret("new")
    try:
        if new != fields.secret("again"):
            raise InvalidInput("The two new passwords are not the same.", "Nothing was changed.")
        opened = await login.change_password(
            front.database, front.passwords, who.user_id, fields.secret("current"), new, caller(request)
        )
    except FleetPromptError as error:
        return await _page(request, who, error)
    return see_other("/account", cookies.of_login(request, opened))


async def _page(request: PageRequest, who: Person, error: FleetPromptError | None = None) -> Response[str]:
    async with front_of(request).tenancy.session(who.tenant) as session:
        accounts = await identities.accounts_of(session, who.user_id)
    return render(
        "account.html",
        status=200 if error is None else status_of(error),
        headers={} if error is None else headers_of(error),
        person=who,
        accounts=accounts,
        least=MIN_CHARACTERS,
        error=error,
    )

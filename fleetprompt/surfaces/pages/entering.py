"""Claiming an account, logging in, logging out."""

from __future__ import annotations

from litestar import Response, get, post

from fleetprompt.accounts import Member, claims, login, sessions
from fleetprompt.accounts.codes import InvalidCode
from fleetprompt.accounts.facts import TellFact
from fleetprompt.accounts.login import Caller
from fleetprompt.accounts.passwords import MIN_CHARACTERS
from fleetprompt.accounts.sessions import Opened
from fleetprompt.accounts.throttle import TooManyAttempts
from fleetprompt.kernel.errors import FleetPromptError, InvalidInput
from fleetprompt.runtime.people import as_actor, fact_teller
from fleetprompt.surfaces.pages import cookies, forms
from fleetprompt.surfaces.pages.cookies import CookieKind
from fleetprompt.surfaces.pages.forms import Fields
from fleetprompt.surfaces.pages.frame import render, see_other
from fleetprompt.surfaces.pages.front import PageRequest, front_of
from fleetprompt.surfaces.pages.people import csrf, safe_next, session_of
from fleetprompt.surfaces.status import headers_of, status_of
from fleetprompt.telemetry import event, events


@get("/login")
async def login_page(request: PageRequest) -> Response[str]:
    wanted = safe_next(request.query_params.get("next", "/"))
    if await session_of(request) is not None:
        return see_other(wanted)
    return _open_page(request, "login.html", next=wanted, email="")


@post("/login", status_code=200)
async def log_in(request: PageRequest) -> Response[str]:
    fields = await forms.open_form(request)
    wanted, front = safe_next(fields.get("next")), front_of(request)
    try:
        found = await login.log_in(
            front.database, front.passwords, fields.get("email"), fields.secret("password"), caller(request)
        )
    except FleetPromptError as error:
        _tell_refusal(error)
        return _open_page(request, "login.html", error=error, next=wanted, email=fields.get("email")[:254])
    _tell_login(str(found.user_id), found.opened)
    return see_other(wanted, cookies.of_login(request, found.opened))


@get("/claim")
async def claim_page(request: PageRequest) -> Response[str]:
    return _open_page(request, "claim.html", least=MIN_CHARACTERS)


@post("/claim", status_code=200)
async def claim(request: PageRequest) -> Response[str]:
    fields = await forms.open_form(request)
    try:
        opened = await _claimed(request, fields)
    except FleetPromptError as error:
        _tell_refusal(error)
        return _open_page(request, "claim.html", error=error, least=MIN_CHARACTERS)
    return see_other("/", cookies.of_login(request, opened))


@post("/logout", status_code=200)
async def log_out(request: PageRequest) -> Response[str]:
    await forms.form(request)
    token = cookies.read(request, CookieKind.SESSION)
    if token is not None:
        await sessions.end_session(front_of(request).database, token.reveal())
    return see_other("/login", [cookies.made(request, CookieKind.SESSION, None)])


def caller(request: PageRequest) -> Caller:
    """Where it comes from, for counting tries."""
    address = request.client.host if request.client is not None else ""
    return Caller(address, cookies.read(request, CookieKind.BROWSER))


async def _claimed(request: PageRequest, fields: Fields) -> Opened:
    front, asking = front_of(request), caller(request)
    password = fields.secret("password")
    if password != fields.secret("again"):
        raise InvalidInput("The two passwords are not the same.", "Type it twice. The code is still good.")
    await login.count_code(front.database, asking)

    def tell_as(member: Member) -> TellFact:
        return fact_teller(front.registry, as_actor(member))

    done = await claims.redeem_claim(front.tenancy, front.passwords, tell_as, fields.get("code"), password)
    opened = await sessions.open_session(front.database, done.user_id, done.password_hash, asking.browser)
    if opened is None:
        raise InvalidCode("The password was changed again in this very moment.", "Log in with the newer one.")
    _tell_login(str(done.user_id), opened)
    return opened


def _open_page(
    request: PageRequest, template: str, *, error: FleetPromptError | None = None, **values: object
) -> Response[str]:
    """A page with a form for somebody who is not logged in."""
    token = forms.form_cookie(request)
    return render(
        template,
        status=200 if error is None else status_of(error),
        headers={} if error is None else headers_of(error),
        cookies=[cookies.made(request, CookieKind.FORM, token)],
        csrf=csrf(token),
        error=error,
        **values,
    )


def _tell_login(user: str, opened: Opened) -> None:
    event(events.AUTH_LOGIN, user=user, org=opened.tenant)
    if opened.tenant is not None:
        event(events.ORG_SELECT, user=user, org=opened.tenant)


def _tell_refusal(error: FleetPromptError) -> None:
    event(events.AUTH_LOGIN, error=error)
    if isinstance(error, TooManyAttempts):
        event(events.RATE_LIMIT_HIT, limit=f"login.{error.bucket.what}")

"""Three cookies, none of them readable by script: who is logged in, which browser it is, whose form this is."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Final

from litestar.datastructures import Cookie

from fleetprompt.accounts import sessions
from fleetprompt.accounts.sessions import Opened
from fleetprompt.kernel.secret import Secret
from fleetprompt.surfaces.pages.front import PageRequest, front_of

MAX_CHARACTERS: Final = 200
LIFETIME: Final = {"session": sessions.LIFETIME, "browser": timedelta(days=365), "form": timedelta(hours=12)}


class CookieKind(StrEnum):
    """session: who is logged in; browser: was let in once, outlives sessions; form: before anybody is logged in."""

    SESSION = "session"
    BROWSER = "browser"
    FORM = "form"


def read(request: PageRequest, kind: CookieKind) -> Secret | None:
    """What the browser sent; None for nothing, or for what we never gave out."""
    value = request.cookies.get(_name(request, kind), "")
    return Secret(value) if 0 < len(value) <= MAX_CHARACTERS and value.isascii() else None


def made(request: PageRequest, kind: CookieKind, value: Secret | None) -> Cookie:
    """To be set; None takes it away."""
    return Cookie(
        key=_name(request, kind),
        value=value.reveal() if value is not None else "",
        max_age=int(LIFETIME[kind].total_seconds()) if value is not None else 0,
        path="/",
        httponly=True,
        samesite="lax",  # a link in a chat is followed as whoever is logged in; another site's form is not
        secure=front_of(request).is_secure,
    )


def of_login(request: PageRequest, opened: Opened) -> list[Cookie]:
    """What a browser gets that somebody logged in with; its form cookie has done its work."""
    return [
        made(request, CookieKind.SESSION, opened.token),
        made(request, CookieKind.BROWSER, opened.browser),
        made(request, CookieKind.FORM, None),
    ]


def _name(request: PageRequest, kind: CookieKind) -> str:
    """`__Host-` keeps a neighbouring host from setting it (RFC 6265bis, 4.1.3.2); it takes https."""
    return f"{'__Host-' if front_of(request).is_secure else ''}fleetprompt_{kind}"

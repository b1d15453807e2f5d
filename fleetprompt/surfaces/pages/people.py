"""Who looks at a page. The organization chosen in their session is the tenant, and nothing else is.

No parameter, header, path or field is asked; what the person may is looked up at each request.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote
from uuid import UUID

from fleetprompt.accounts import Role, sessions
from fleetprompt.accounts.sessions import Session
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.kernel.secret import Secret
from fleetprompt.runtime.signals import Actor
from fleetprompt.surfaces.pages import cookies
from fleetprompt.surfaces.pages.cookies import CookieKind
from fleetprompt.surfaces.pages.front import PageRequest, front_of

MAX_NEXT: Final = 500
_OURS: Final = re.compile(r"/(?![/\\])[!-\[\]-~]*")  # a path of this host: visible ASCII, no backslash


class SeeOther(Exception):
    """This page is not the one to see now; `path` is."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


@dataclass(frozen=True, slots=True)
class Person:
    """Who is logged in, in the organization that they chose. csrf: for each form, as `<input name="csrf">`."""

    user_id: UUID
    email: str
    name: str
    tenant: TenantSlug
    organization: str
    role: Role
    csrf: str

    @property
    def actor(self) -> Actor:
        """As `runtime.people.as_actor` names a member."""
        return Actor("human", f"user:{self.user_id}", self.name)

    @property
    def is_admin(self) -> bool:
        """Or owner."""
        return self.role >= Role.ADMIN


async def person(request: PageRequest) -> Person:
    """Leads to /login who is not logged in, and to /organizations who has chosen none that still holds (SeeOther)."""
    found = await visitor(request)
    if found.tenant is None or found.organization is None or found.role is None:
        raise SeeOther(_with_next("/organizations", request))
    return Person(
        found.user_id, found.email, found.name, found.tenant, found.organization, found.role, csrf_of(request)
    )


async def visitor(request: PageRequest) -> Session:
    """Who is logged in, whatever they chose. Leads to /login whoever is not (SeeOther)."""
    found = await session_of(request)
    if found is None:
        raise SeeOther(_with_next("/login", request))
    return found


async def session_of(request: PageRequest) -> Session | None:
    """None for nobody."""
    token = cookies.read(request, CookieKind.SESSION)
    return None if token is None else await sessions.find_session(front_of(request).database, token.reveal())


def csrf_of(request: PageRequest) -> str:
    """What a form has to bring back: it follows from the session's cookie, which no other site can read or set."""
    token = cookies.read(request, CookieKind.SESSION)
    return "" if token is None else csrf(token)


def csrf(token: Secret) -> str:
    """One way: from a page's form nobody gets to the cookie."""
    return hmac.new(token.reveal().encode(), b"form", hashlib.sha256).hexdigest()


def safe_next(path: str) -> str:
    """Where to go after a login: a path of ours, or the first page. Never another site."""
    return path if len(path) <= MAX_NEXT and _OURS.fullmatch(path) else "/"


def _with_next(path: str, request: PageRequest) -> str:
    if request.method != "GET":
        return path
    query = f"?{request.url.query}" if request.url.query else ""
    wanted = safe_next(request.url.path + query)
    return path if wanted == "/" else f"{path}?next={quote(wanted, safe='/')}"

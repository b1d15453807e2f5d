"""Reading a form: of our own page, of this very browser, small, and whatever else it holds without harm."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from fleetprompt.accounts.tokens import new_token
from fleetprompt.kernel.errors import FleetPromptError, InvalidInput
from fleetprompt.kernel.secret import Secret
from fleetprompt.surfaces.pages import cookies
from fleetprompt.surfaces.pages.cookies import CookieKind
from fleetprompt.surfaces.pages.front import PageRequest, front_of
from fleetprompt.surfaces.pages.people import csrf

ENCODING: Final = "application/x-www-form-urlencoded"
MAX_FIELDS: Final = 50
FROM_HERE: Final = ("same-origin", "none")


class NotFromHere(FleetPromptError):
    """The form is none of ours, or of another browser, or of a session that has ended."""

    code = "not_allowed"


@dataclass(frozen=True, slots=True)
class Fields:
    """A form's fields; one that is not there is empty, of one that comes twice the first counts."""

    values: Mapping[str, str]

    def get(self, name: str) -> str:
        """As it was typed, without the spaces around it."""
        return self.values.get(name, "").strip()

    def secret(self, name: str) -> Secret:
        """As it was typed, exactly."""
        return Secret(self.values.get(name, ""))


async def form(request: PageRequest) -> Fields:
    """The form of somebody who is logged in. Raises NotFromHere, InvalidInput for what is no form."""
    return await _read(request, cookies.read(request, CookieKind.SESSION))


async def open_form(request: PageRequest) -> Fields:
    """The same of somebody who is not."""
    return await _read(request, cookies.read(request, CookieKind.FORM))


def form_cookie(request: PageRequest) -> Secret:
    """For a page with an open form: the browser's own, or a new one, to be set with the page."""
    return cookies.read(request, CookieKind.FORM) or new_token()


async def _read(request: PageRequest, token: Secret | None) -> Fields:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != ENCODING:
        raise InvalidInput("This is no form of ours.", "Load the page again, and send its form.")
    _require_same_site(request)
    fields = Fields(_parsed(await request.body()))
    given = fields.get("csrf").encode("utf-8", "surrogatepass")
    if token is None or not hmac.compare_digest(given, csrf(token).encode()):
        raise NotFromHere(
            "This form is too old, or your browser sent no cookie.",
            "Load the page again, and send it once more.",
        )
    return fields


def _parsed(body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            body.decode("ascii", "replace"),
            keep_blank_values=True,
            max_num_fields=MAX_FIELDS,
            errors="replace",
        )
    except ValueError:
        raise InvalidInput(
            "This is no form of ours: it has too many fields.", "Load the page again."
        ) from None
    return dict(reversed(pairs))


def _require_same_site(request: PageRequest) -> None:
    """What browsers say of themselves; the token in the form is what decides (Fetch Metadata, RFC 6454)."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin", "null")
    ours = (request.headers.get("host", ""), urlsplit(front_of(request).public_url).netloc)
    is_ours = origin == "null" or _netloc(origin) in ours
    if (site is not None and site not in FROM_HERE) or not is_ours:
        raise NotFromHere("This form came from another site.", "Open FleetPrompt itself, and try there.")


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""

"""What a page says when it cannot be shown: a sentence and what to do, never a traceback."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from litestar import Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from fleetprompt.database.engine import is_away
from fleetprompt.kernel.errors import FleetPromptError
from fleetprompt.surfaces.pages.frame import render, see_other
from fleetprompt.surfaces.pages.front import PageRequest
from fleetprompt.surfaces.pages.people import SeeOther
from fleetprompt.surfaces.status import headers_of, status_of
from fleetprompt.telemetry import get_logger

ADVICE: Final = {
    404: "There is no such page. Begin at the first one.",
    405: "This page is only looked at.",
    413: "That is too much for a form.",
}


def _led_on(_: PageRequest, way: SeeOther) -> Response[str]:
    return see_other(way.path)


def _ours(_: PageRequest, error: FleetPromptError) -> Response[str]:
    return _page(status_of(error), error.what, error.advice, headers_of(error))


def _refused(request: PageRequest, error: HTTPException) -> Response[str]:
    if error.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _failed(request, error)
    phrase = HTTPStatus(error.status_code).phrase
    return _page(error.status_code, f"{phrase}.", ADVICE.get(error.status_code, "Load the page again."))


def _failed(request: PageRequest, error: Exception) -> Response[str]:
    if is_away(error):
        return _page(503, "The database does not answer.", "Try again in a moment.", {"Retry-After": "5"})
    get_logger(__name__).error("page failed", path=request.url.path, exc_info=error)
    return _page(500, "Something went wrong here; the log says what.", "Try again, or tell the operator.")


def _page(status: int, what: str, advice: str, headers: dict[str, str] | None = None) -> Response[str]:
    return render("error.html", status=status, headers=headers, what=what, advice=advice)


HANDLERS: Final[ExceptionHandlersMap] = {
    SeeOther: _led_on,
    FleetPromptError: _ours,
    HTTPException: _refused,
    Exception: _failed,
}

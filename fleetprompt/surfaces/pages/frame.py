"""How a page is made: its template, and the headers under which it can do nothing but show itself and send forms home."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import Response
from litestar.datastructures import Cookie

HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",  # addresses of pages hold one-time links
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex",
}


def render(
    template: str,
    *,
    status: int = 200,
    cookies: Sequence[Cookie] = (),
    headers: dict[str, str] | None = None,
    **values: Any,
) -> Response[str]:
    """A page. values: for the template; `person`, where there is one, fills the head of the page."""
    page = _templates().get_template(template).render({"person": None, "csrf": "", **values})
    return Response(
        page,
        status_code=status,
        media_type="text/html; charset=utf-8",
        cookies=cookies,
        headers={**HEADERS, **(headers or {})},
    )


def see_other(path: str, cookies: Sequence[Cookie] = ()) -> Response[str]:
    """Go there with GET; `path` is one of ours."""
    return Response("", status_code=303, cookies=cookies, headers={**HEADERS, "Location": path})


@cache
def stylesheet() -> str:
    """Ours, from the package."""
    return (files(__package__) / "templates" / "style.css").read_text(encoding="utf-8")


@cache
def _templates() -> Environment:
    made = Environment(
        loader=PackageLoader(str(__package__)),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["style"] = f"/style.css?v={hashlib.sha256(stylesheet().encode()).hexdigest()[:12]}"
    return made

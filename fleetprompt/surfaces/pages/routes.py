"""All pages, under one roof: the same limits, and errors that people can read."""

from __future__ import annotations

from typing import Final

from litestar import Router

from fleetprompt.surfaces.pages import account, entering, home, organizations, secret
from fleetprompt.surfaces.pages.errors import HANDLERS
from fleetprompt.surfaces.pages.front import KEY, Front

MAX_FORM_BYTES: Final = 64_000
PAGES: Final = (
    entering.login_page,
    entering.log_in,
    entering.claim_page,
    entering.claim,
    entering.log_out,
    organizations.organizations_page,
    organizations.choose_organization,
    home.home_page,
    home.style,
    account.link_page,
    account.make_link_code,
    account.account_page,
    account.unlink,
    account.change_password,
    account.leave,
    secret.secret_page,
    secret.take_secret,
)


def page_routes(front: Front) -> Router:
    """They find it by `front_of`."""
    return Router(
        path="/",
        route_handlers=PAGES,
        exception_handlers=HANDLERS,
        request_max_body_size=MAX_FORM_BYTES,
        include_in_schema=False,
        opt={KEY: front},
    )

"""What programs ask with a key: `Authorization: Bearer fpk_...`. The key's organization is the tenant, and nothing else is."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from litestar import Request, Response, Router, get

from fleetprompt.accounts import api_keys, members
from fleetprompt.accounts.api_keys import InvalidKey, Principal
from fleetprompt.kernel.errors import FleetPromptError
from fleetprompt.packages import look
from fleetprompt.surfaces.health import NO_STORE
from fleetprompt.surfaces.pages.front import KEY, Front, front_of
from fleetprompt.surfaces.status import headers_of, status_of
from fleetprompt.surfaces.web import error_body

ApiRequest: TypeAlias = Request[Any, Any, Any]
MAX_TOKEN: Final = 200


@get("/whoami")
async def whoami(request: ApiRequest) -> Response[dict[str, Any]]:
    """For any key: whom it speaks for, where, and what it may."""
    who = await principal(request)
    return _answer(
        {
            "organization": who.tenant,
            "user_id": str(who.user_id),
            "name": who.name,
            "role": who.role.value,
            "key_id": str(who.key_id),
            "scopes": list(who.scopes),
        }
    )


@get("/members")
async def list_members(request: ApiRequest) -> Response[dict[str, Any]]:
    """Scope `members:read`."""
    who = await principal(request)
    who.require("members:read")
    async with front_of(request).packages.tenancy.session(who.tenant) as session:
        found = await members(session)
    fields = ("email", "name", "role", "status")
    return _answer(
        {
            "data": [
                {"user_id": str(one.user_id), **{name: getattr(one, name) for name in fields}}
                for one in found
            ]
        }
    )


@get("/installations")
async def list_installations(request: ApiRequest) -> Response[dict[str, Any]]:
    """Scope `installations:read`."""
    who = await principal(request)
    who.require("installations:read")
    found = await look.status(front_of(request).packages, who.tenant)
    fields = ("package", "name", "version", "state", "connection", "is_listened_to")
    data = [
        {"installation_id": str(one.installation_id), **{name: getattr(one, name) for name in fields}}
        for one in found
    ]
    return _answer({"data": data})


async def principal(request: ApiRequest) -> Principal:
    """Whom the request's key speaks for, at this moment. Raises InvalidKey."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not 0 < len(token) <= MAX_TOKEN:
        raise InvalidKey(
            "This takes a key.", "Send it as `Authorization: Bearer fpk_...`; see: fleetprompt key create"
        )
    return await api_keys.authenticate(front_of(request).packages.tenancy.database, token.strip())


def api_routes(front: Front) -> Router:
    """Every error is `{"error": {"code", "message"}}`."""
    return Router(
        path="/api/v1",
        route_handlers=[whoami, list_members, list_installations],
        exception_handlers={FleetPromptError: _refused},
        opt={KEY: front},
    )


def _answer(body: dict[str, Any]) -> Response[dict[str, Any]]:
    return Response(body, headers=NO_STORE)


def _refused(_: ApiRequest, error: FleetPromptError) -> Response[dict[str, Any]]:
    body = error_body(error.code, str(error))
    return Response(body, status_code=status_of(error), headers={**NO_STORE, **headers_of(error)})

"""What a Mattermost server sends: slash commands. A clear 4xx for what is none, one answer for what is not ours.

POST /webhooks/mattermost/{installation id}/command, form-encoded; the answer is for its writer alone.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qsl
from uuid import UUID

from litestar import Request, Response, post
from litestar.exceptions import ClientException, NotAuthorizedException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.status_codes import HTTP_415_UNSUPPORTED_MEDIA_TYPE
from pydantic import ValidationError

from fleetprompt.connectors.doors import NotOurs, Taken, shown
from fleetprompt.connectors.mattermost.ingress import CommandSent, take_command
from fleetprompt.packages.house import House

MAX_BYTES: Final = 256 * 1024  # 16,383 runes, each at most twelve bytes in a form
MAX_FIELDS: Final = 100
FORM: Final = "application/x-www-form-urlencoded"
NO_STORE: Final = {"Cache-Control": "no-store"}
ON_IT: Final = "I am on it. The answer comes in our direct messages."


def mattermost_routes(house: House) -> list[HTTPRouteHandler]:
    """The doors of all Mattermost installations."""

    @post(
        "/webhooks/mattermost/{installation_id:str}/command", status_code=200, request_max_body_size=MAX_BYTES
    )
    async def command(
        installation_id: FromPath[str], request: Request[Any, Any, Any]
    ) -> Response[dict[str, Any]]:
        body = await request.body()
        sent = _valid(CommandSent, form_of(request.headers.get("content-type", ""), body))
        taken = await _let_in(take_command(house, _id(installation_id), sent, body))
        return _privately(await _answer(house, taken))

    return [command]


async def _answer(house: House, taken: Taken) -> str:
    return await shown(house.tenancy, house.registry, taken) or ON_IT


def _privately(text: str) -> Response[dict[str, Any]]:
    return Response({"response_type": "ephemeral", "text": text}, headers=NO_STORE)


async def _let_in(taking: Any) -> Taken:
    try:
        taken: Taken = await taking
    except NotOurs as error:
        raise NotAuthorizedException(str(error)) from error
    return taken


def _id(text: str) -> UUID:
    """An address that names no installation is answered as one that names a foreign one."""
    try:
        return UUID(text)
    except ValueError:
        return UUID(int=0)


def form_of(content_type: str, body: bytes) -> dict[str, str]:
    """The fields of a form, each there once. Raises ClientException (400, 415)."""
    if content_type.partition(";")[0].strip().lower() != FORM:
        raise ClientException("The body is no form.", status_code=HTTP_415_UNSUPPORTED_MEDIA_TYPE)
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict"
        )
    except ValueError as error:
        raise ClientException("The form cannot be read.") from error
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ClientException("A field of the form is there twice.")
    return fields


def _valid(kind: type[Any], value: Any) -> Any:
    """Raises ClientException, which names the field and says nothing of its value."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in fault["loc"]) or "body"
        raise ClientException(f"The field {where[:100]!r} cannot be used: {fault['msg']}.") from error

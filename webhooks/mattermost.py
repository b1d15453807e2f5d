"""What a Mattermost server sends. A clear 4xx for what is malformed, one answer for whatever is not ours.

POST /webhooks/mattermost/{installation id}/command: a slash command, form-encoded; its writer alone sees the answer.
POST /webhooks/mattermost/{installation id}/action: a pressed button, JSON; whoever pressed it alone sees the answer.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl
from uuid import UUID

from litestar import Request, Response, post
from litestar.exceptions import ClientException, NotAuthorizedException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.status_codes import HTTP_415_UNSUPPORTED_MEDIA_TYPE
from pydantic import BaseModel, ValidationError

from fleetprompt.connectors.doors import NotOurs, Taken, shown
from fleetprompt.connectors.mattermost.ingress import (
    ActionSent,
    CommandSent,
    TooLate,
    take_action,
    take_command,
)
from fleetprompt.packages.house import House

Model = TypeVar("Model", bound=BaseModel)
PATH: Final = "/webhooks/mattermost/{installation_id:str}"
MAX_BYTES: Final = 256 * 1024  # 16,383 runes, each at most twelve bytes in a form
MAX_FIELDS: Final = 100
FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"
NO_STORE: Final = {"Cache-Control": "no-store"}
ON_IT: Final = "I am on it. The answer comes in our direct messages."


def mattermost_routes(house: House) -> list[HTTPRouteHandler]:
    """The doors of all Mattermost installations."""

    @post(f"{PATH}/command", status_code=200, request_max_body_size=MAX_BYTES)
    async def command(
        installation_id: FromPath[str], request: Request[Any, Any, Any]
    ) -> Response[dict[str, Any]]:
        body = await request.body()
        sent = _valid(CommandSent, form_of(request.headers.get("content-type", ""), body))
        taken = await _let_in(take_command(house, _id(installation_id), sent, body))
        return _answer({"response_type": "ephemeral", "text": await _found(house, taken)})

    @post(f"{PATH}/action", status_code=200, request_max_body_size=MAX_BYTES)
    async def action(
        installation_id: FromPath[str], request: Request[Any, Any, Any]
    ) -> Response[dict[str, Any]]:
        body = await request.body()
        sent = _valid(ActionSent, object_of(request.headers.get("content-type", ""), body))
        try:
            taken = await _let_in(take_action(house, _id(installation_id), sent, body))
        except TooLate as error:
            return _answer({"ephemeral_text": str(error)})
        return _answer({"ephemeral_text": await _found(house, taken)})

    return [command, action]


async def _found(house: House, taken: Taken) -> str:
    return taken.notice or await shown(house.tenancy, house.registry, taken) or ON_IT


def _answer(body: dict[str, Any]) -> Response[dict[str, Any]]:
    return Response(body, headers=NO_STORE)


async def _let_in(taking: Awaitable[Taken]) -> Taken:
    try:
        return await taking
    except NotOurs as error:
        raise NotAuthorizedException(str(error)) from error


def _id(text: str) -> UUID:
    """An address that names no installation is answered as one that names a foreign one."""
    try:
        return UUID(text)
    except ValueError:
        return UUID(int=0)


def form_of(content_type: str, body: bytes) -> dict[str, str]:
    """The fields of a form, each there once. Raises ClientException (400, 415)."""
    _require(content_type, FORM)
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


def object_of(content_type: str, body: bytes) -> dict[str, Any]:
    """A JSON object. Raises ClientException (400, 415)."""
    _require(content_type, JSON)
    try:
        value = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ClientException("The JSON cannot be read.") from error
    if not isinstance(value, dict):
        raise ClientException("The JSON is no object.")
    return value


def _require(content_type: str, wanted: str) -> None:
    if content_type.partition(";")[0].strip().lower() != wanted:
        status = HTTP_415_UNSUPPORTED_MEDIA_TYPE
        raise ClientException(f"The body has to be {wanted}.", status_code=status)


def _no_number(word: str) -> float:
    raise ValueError(word)


def _valid(kind: type[Model], value: dict[str, Any]) -> Model:
    """Raises ClientException, which names the field and says nothing of its value."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in fault["loc"]) or "body"
        raise ClientException(f"The field {where[:100]!r} cannot be used: {fault['msg']}.") from error

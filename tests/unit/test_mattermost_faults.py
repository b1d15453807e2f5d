"""Every fault of the wire libraries and every refusal of the server has its type."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

import httpx2
import pytest
import websockets.exceptions
from websockets.datastructures import Headers
from websockets.http11 import Response

from adapters import errors
from adapters.errors import (
    AdapterError,
    CredentialRefused,
    FarSideFailed,
    Misconfigured,
    NotAllowed,
    OutcomeUnknown,
    PlaceGone,
    RateLimited,
    Refused,
    Remedy,
    TimedOut,
    TooLong,
    Unreachable,
)
from adapters.mattermost.faults import (
    HTTP_ERRORS,
    SOCKET_ERRORS,
    refusal,
    retry_after_s,
    translate,
    translate_socket,
)

NOTHING_SENT = {
    "ConnectError",
    "ConnectTimeout",
    "PoolTimeout",
    "ProxyError",
    "InvalidURL",
    "UnsupportedProtocol",
    "LocalProtocolError",
    "TooManyRedirects",
}


def exceptions_of(module: Any) -> list[type[Exception]]:
    """Every exception class that a library documents."""
    found = vars(module).values()  # not dir(): it names deprecated ones, whose access warns
    classes = {item for item in found if inspect.isclass(item) and issubclass(item, Exception)}
    return sorted(
        (item for item in classes if item.__module__.startswith(module.__name__.split(".")[0])),
        key=lambda item: item.__name__,
    )


def made(kind: type[Exception]) -> Exception:
    """An instance without running a constructor that wants a whole connection."""
    error: Exception = kind.__new__(kind)
    Exception.__init__(error, "quoted secret")
    return error


HTTP = [kind for kind in exceptions_of(httpx2) if not issubclass(kind, Warning)]
SOCKET = exceptions_of(websockets.exceptions)


def test_the_libraries_have_their_known_number_of_exceptions_at_least() -> None:
    assert len(HTTP) >= 28
    assert len(SOCKET) >= 20


@pytest.mark.parametrize("kind", HTTP)
@pytest.mark.parametrize("effect", [True, False])
def test_every_http_exception_is_caught_and_typed(kind: type[Exception], effect: bool) -> None:
    assert issubclass(kind, HTTP_ERRORS), "the client would let it through"
    error = translate(made(kind), effect=effect)
    assert type(error) is not AdapterError
    assert "quoted" not in str(error)
    if effect:
        assert isinstance(error, OutcomeUnknown) is (kind.__name__ not in NOTHING_SENT)
    else:
        assert not isinstance(error, OutcomeUnknown)


@pytest.mark.parametrize("kind", SOCKET)
def test_every_websocket_exception_is_caught_and_typed(kind: type[Exception]) -> None:
    assert issubclass(kind, SOCKET_ERRORS), "the socket would let it through"
    if kind is websockets.exceptions.InvalidStatus:
        return  # the next test: it carries an answer
    error = translate_socket(made(kind))
    assert type(error) is not AdapterError
    assert "quoted" not in str(error)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, CredentialRefused),
        (429, RateLimited),
        (503, FarSideFailed),
        (404, FarSideFailed),
        (200, FarSideFailed),
    ],
)
def test_a_refused_upgrade_is_typed_by_its_status(status: int, kind: type[AdapterError]) -> None:
    refused = websockets.exceptions.InvalidStatus(Response(status, "", Headers()))
    assert type(translate_socket(refused)) is kind


@pytest.mark.parametrize(
    ("status", "error_id", "effect", "kind"),
    [
        (400, "model.post.is_valid.msg.app_error", True, TooLong),
        (400, "api.post.create_post.root_id.app_error", True, PlaceGone),
        (400, "api.post.create_post.can_not_post_to_deleted.error", True, PlaceGone),
        (400, "api.context.invalid_body_param.app_error", True, Refused),
        (401, "api.context.session_expired.app_error", True, CredentialRefused),
        (403, "api.context.permissions.app_error", True, NotAllowed),
        (404, "app.channel.get.existing.app_error", True, PlaceGone),
        (413, "api.context.too_large", True, TooLong),
        (429, "", True, RateLimited),
        (500, "api.post.deduplicate_create_post.pending", True, OutcomeUnknown),
        (502, "", True, OutcomeUnknown),
        (502, "", False, FarSideFailed),
        (501, "api.disabled", True, Misconfigured),
        (404, "", False, Misconfigured),
        (302, "", False, Misconfigured),
    ],
)
def test_each_refusal_of_the_server_is_typed(
    status: int, error_id: str, effect: bool, kind: type[AdapterError]
) -> None:
    body = {"id": error_id, "message": "a quoted secret"} if error_id else None
    error = refusal(status, body, {}, effect=effect)
    assert type(error) is kind
    assert "secret" not in str(error) + error.advice


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"X-RateLimit-Reset": "3"}, 3.0),
        ({"Retry-After": "soon", "X-RateLimit-Reset": "2"}, 2.0),
        ({"Retry-After": "-5"}, 0.0),
        ({"Retry-After": "1e99"}, 3600.0),
        ({}, None),
    ],
)
def test_the_wait_is_read_from_the_headers(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds


def test_a_certificate_that_is_not_trusted_names_its_remedy() -> None:
    error = translate(httpx2.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED]"), effect=True)
    assert isinstance(error, Unreachable)
    assert "ca_file" in error.advice


def test_time_outs_and_lost_connections_of_reads_are_passing() -> None:
    assert type(translate(httpx2.ReadTimeout(""), effect=False)) is TimedOut
    assert type(translate(httpx2.ReadError(""), effect=False)) is Unreachable


def test_every_error_has_a_code_of_its_own_and_a_remedy() -> None:
    kinds = [
        item for item in vars(errors).values() if inspect.isclass(item) and issubclass(item, AdapterError)
    ]
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert all(isinstance(kind.remedy, Remedy) for kind in kinds)


def test_importing_the_adapter_raises_no_warning_and_leaves_the_drivers_client_alone() -> None:
    program = "import adapters.mattermost, logging; assert not logging.getLogger().handlers"
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=60)

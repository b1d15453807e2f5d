"""What went wrong on the wire, in the words of `adapters.errors`.

The question that matters: may a call with an effect have arrived? Before a connection stands, no; afterwards nobody knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx2
from websockets.exceptions import InvalidStatus, InvalidURI, SecurityError, WebSocketException

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
    TimedOut,
    TooLong,
    Unreachable,
)

HTTP_ERRORS = (
    httpx2.HTTPError,
    httpx2.InvalidURL,
    httpx2.CookieConflict,
    httpx2.StreamError,
    OSError,
)
SOCKET_ERRORS = (WebSocketException, OSError, TimeoutError, EOFError)

_NOTHING_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)
_OUR_MISTAKE = (
    httpx2.InvalidURL,
    httpx2.UnsupportedProtocol,
    httpx2.LocalProtocolError,
    httpx2.TooManyRedirects,
)
_CHECK_ADDRESS = "Check server_url, and that this machine may reach it."
_TRUST_AUTHORITY = (
    "The certificate is not trusted: set ca_file to the authority's PEM file, or mend the certificate."
)

MEND_LOGIN = "Make a new token for the bot account (Integrations > Bot Accounts) and store it as bot_token."
_GONE_IDS = {
    "api.post.create_post.root_id.app_error": "the thread's root is gone, or is itself a reply",
    "api.post.create_post.channel_root_id.app_error": "the thread is in another channel",
    "api.post.create_post.can_not_post_to_deleted.error": "the channel is archived",
}


def translate(error: BaseException, *, effect: bool) -> AdapterError:
    """One fault of the HTTP library, typed. effect: the call changes something on the server."""
    name = type(error).__name__
    if isinstance(error, _OUR_MISTAKE):
        return Misconfigured(f"the request cannot be made ({name})", advice=_CHECK_ADDRESS)
    if isinstance(error, _NOTHING_SENT):
        is_tls = "CERTIFICATE" in str(error).upper()
        return Unreachable(
            f"no connection to the server ({name})", advice=_TRUST_AUTHORITY if is_tls else _CHECK_ADDRESS
        )
    if effect:
        return OutcomeUnknown(f"the connection was lost before the answer ({name})")
    if isinstance(error, httpx2.TimeoutException | TimeoutError):
        return TimedOut(f"no answer in time ({name})")
    if isinstance(error, httpx2.NetworkError | OSError):
        return Unreachable(f"the connection was lost ({name})", advice=_CHECK_ADDRESS)
    return FarSideFailed(f"the answer makes no sense ({name})")


def translate_socket(error: BaseException) -> AdapterError:
    """One fault of the websocket library, typed."""
    name = type(error).__name__
    if isinstance(error, InvalidURI | SecurityError):
        return Misconfigured(f"the websocket cannot be opened ({name})", advice=_CHECK_ADDRESS)
    if isinstance(error, InvalidStatus):
        return _refused_upgrade(error.response.status_code)
    if isinstance(error, TimeoutError):
        return TimedOut("the websocket did not answer in time")
    if isinstance(error, OSError):
        return Unreachable(f"no websocket connection to the server ({name})", advice=_CHECK_ADDRESS)
    return FarSideFailed(f"the websocket connection ended ({name})")


def _refused_upgrade(status: int) -> AdapterError:
    if status == 401:
        return CredentialRefused("the server refused the token (401)", advice=MEND_LOGIN)
    if status == 429:
        return RateLimited("the server limits connections (429)")
    if status >= 500:
        return FarSideFailed(f"the server refused the websocket ({status})")
    return FarSideFailed(
        f"the server refused the websocket ({status})",
        advice="A proxy before the server must pass the Upgrade header on /api/v4/websocket.",
    )


def refusal(status: int, body: Any, headers: Mapping[str, str], *, effect: bool) -> AdapterError:
    """An answer that is not 2xx, typed. Only the error's id is quoted, never its text."""
    error_id = str(body.get("id", ""))[:100] if isinstance(body, dict) else ""
    what = f"{status} {error_id}".strip()
    if status == 429:
        return RateLimited(f"the server limits the rate ({status})", retry_after_s=retry_after_s(headers))
    if status >= 500 and status != 501:
        return _server_failed(what, effect)
    if status == 401:
        return CredentialRefused(f"the server refused the token ({what})", advice=MEND_LOGIN)
    if status == 403:
        return NotAllowed(
            f"the account may not do this ({what})", advice="Add the bot to the team and to the channel."
        )
    if status == 413 or error_id == "model.post.is_valid.msg.app_error":
        return TooLong(f"longer than the server's limit ({what})")
    if error_id in _GONE_IDS:
        return PlaceGone(f"{_GONE_IDS[error_id]} ({what})")
    return _other_refusal(status, what, is_theirs=bool(error_id))


def _other_refusal(status: int, what: str, *, is_theirs: bool) -> AdapterError:
    if status == 404 and is_theirs:
        return PlaceGone(f"it is no longer there ({what})")
    if status == 400 and is_theirs:
        return Refused(f"the server will not take it ({what})")
    return Misconfigured(
        f"this address does not answer as a Mattermost server ({what})",
        advice="Give server_url as a browser ends up with it, without a redirect and without /api.",
    )


def _server_failed(what: str, effect: bool) -> AdapterError:
    # Also `api.post.deduplicate_create_post.pending`: the first try is still being written.
    if effect:
        return OutcomeUnknown(f"the server failed after it had the request ({what})")
    return FarSideFailed(f"the server failed ({what})")


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait: `Retry-After`, else `X-RateLimit-Reset`; both are seconds on Mattermost."""
    for name in ("Retry-After", "X-RateLimit-Reset"):
        try:
            return max(0.0, min(3600.0, float(headers.get(name, ""))))
        except ValueError:
            continue
    return None

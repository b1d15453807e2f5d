"""The order system's wire, with every fault typed.

GET  /orders[?status=]      GET /orders/{number}      404 = there is none
POST /orders/{number}/hold  with Idempotency-Key; the same key again places no second hold
GET  /holds/{key}           404 = certainly no hold was placed with this key
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2

from adapters.errors import (
    AdapterError,
    CredentialRefused,
    FarSideFailed,
    Misconfigured,
    NotAllowed,
    OutcomeUnknown,
    Passing,
    PlaceGone,
    RateLimited,
    Refused,
    TimedOut,
    Unreachable,
)

READ_TRIES = 3
RETRY_S = 0.2
CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 10.0
MAX_ANSWER_BYTES = 1_000_000
ADVICE = "Check FLEETPROMPT_ORDER_DESK_URL, and that the order desk runs."
_NOTHING_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_OUR_MISTAKE = (
    httpx2.InvalidURL,
    httpx2.UnsupportedProtocol,
    httpx2.LocalProtocolError,
    httpx2.TooManyRedirects,
)
_ANY = (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, OSError)


@dataclass(frozen=True, slots=True)
class Order:
    """One order. eta: an ISO date, "" = unknown."""

    number: str
    status: str
    item: str
    eta: str
    on_hold: bool


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold that was placed. found: it was there already."""

    number: str
    hold_id: str
    found: bool = False


class OrderDeskClient:
    """One order system. Opens its connections when they are needed; close it."""

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Misconfigured("the order desk's address is not an http address", advice=ADVICE)
        is_loopback = parts.hostname in ("127.0.0.1", "::1", "localhost")
        self._base_url = base_url.rstrip("/")
        self._http = httpx2.AsyncClient(
            timeout=httpx2.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S), trust_env=not is_loopback
        )

    async def close(self) -> None:
        """Give the connections back; idempotent."""
        await self._http.aclose()

    async def order(self, number: str) -> Order | None:
        """None = there is no such order."""
        answer = await self._read(f"/orders/{quote(number, safe='')}")
        return None if answer is None else _parsed(_order, answer)

    async def orders(self, status: str = "") -> list[Order]:
        """All, or those of a status."""
        answer = await self._read("/orders", {"status": status} if status else {})
        if not isinstance(answer, list):
            raise FarSideFailed("the list of orders makes no sense")
        return [_parsed(_order, item) for item in answer]

    async def hold(self, number: str, reason: str, key: str) -> Hold:
        """Place it once. Raises OutcomeUnknown when the desk may have it, PlaceGone when there is no such order."""
        path = f"/orders/{quote(number, safe='')}/hold"
        answer = await self._request("POST", path, key=key, body={"reason": reason}, effect=True)
        try:
            return Hold(str(answer["number"]), str(answer["hold_id"]), bool(answer.get("repeated")))
        except (TypeError, KeyError, AttributeError) as error:
            raise OutcomeUnknown("the order desk took the hold and its answer makes no sense") from error

    async def find_hold(self, key: str) -> Hold | None:
        """None = certainly not placed."""
        answer = await self._read(f"/holds/{quote(key, safe='')}")
        return None if answer is None else _parsed(_hold, answer)

    async def _read(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """A read, repeated after a passing fault; None for 404."""
        for attempt in range(READ_TRIES):
            try:
                return await self._request("GET", path, params=params)
            except PlaceGone:
                return None
            except Passing as fault:
                if attempt + 1 == READ_TRIES:
                    raise
                await asyncio.sleep(min(2.0, fault.retry_after_s or RETRY_S * 2**attempt))
        raise AssertionError("unreachable")

    async def _request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        key: str = "",
        body: Any = None,
        effect: bool = False,
    ) -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        try:
            answer = await self._http.request(
                method, self._base_url + path, params=dict(params or {}), headers=headers, json=body
            )
        except _ANY as error:
            raise translate(error, effect=effect) from error
        return _body(answer, effect)


def translate(error: BaseException, *, effect: bool) -> AdapterError:
    """One fault of the HTTP library, typed. effect: the call places something."""
    name = type(error).__name__
    if isinstance(error, _OUR_MISTAKE):
        return Misconfigured(f"the request cannot be made ({name})", advice=ADVICE)
    if isinstance(error, _NOTHING_SENT):
        return Unreachable(f"the order desk does not answer ({name})", advice=ADVICE)
    if effect:
        return OutcomeUnknown(f"the connection was lost before the answer ({name})")
    if isinstance(error, httpx2.TimeoutException):
        return TimedOut(f"the order desk did not answer in time ({name})")
    return Unreachable(f"the connection to the order desk was lost ({name})", advice=ADVICE)


def _body(answer: httpx2.Response, effect: bool) -> Any:
    if not answer.is_success:
        raise _refusal(answer, effect)
    try:
        if len(answer.content) > MAX_ANSWER_BYTES:
            raise ValueError("too long")
        return answer.json()
    except ValueError as error:
        if effect:
            raise OutcomeUnknown("the order desk's answer makes no sense") from error
        raise FarSideFailed("the order desk's answer makes no sense") from error


def _refusal(answer: httpx2.Response, effect: bool) -> AdapterError:
    status = answer.status_code
    if status == 429:
        return RateLimited("the order desk limits the rate (429)", retry_after_s=_retry_after_s(answer))
    if status >= 500:
        # A gateway's 502 or 504 may come after the desk did it.
        what = f"the order desk failed ({status})"
        return OutcomeUnknown(what) if effect else FarSideFailed(what)
    if status == 404:
        return PlaceGone("there is no such order")
    if status == 401:
        return CredentialRefused("the order desk refused us (401)", advice=ADVICE)
    if status == 403:
        return NotAllowed("the order desk does not permit this (403)", advice=ADVICE)
    if 300 <= status < 400:
        return Misconfigured(f"the order desk is elsewhere ({status})", advice=ADVICE)
    return Refused(f"the order desk will not do this ({status})")


def _retry_after_s(answer: httpx2.Response) -> float | None:
    try:
        return max(0.0, min(3600.0, float(answer.headers.get("Retry-After", ""))))
    except ValueError:
        return None


def _parsed(read: Callable[[Any], Any], value: Any) -> Any:
    try:
        return read(value)
    except (TypeError, KeyError, AttributeError) as error:
        raise FarSideFailed("the order desk's answer makes no sense") from error


def _order(value: Any) -> Order:
    text = {name: str(value[name])[:200] for name in ("number", "status", "item", "eta")}
    return Order(**text, on_hold=value["on_hold"] is True)


def _hold(value: Any) -> Hold:
    return Hold(str(value["number"]), str(value["hold_id"]), found=True)

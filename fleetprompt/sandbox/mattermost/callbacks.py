"""The sandbox as a caller: it sends clicks, commands and posts to integrations, on loopback only."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import Coroutine, Mapping
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import httpx2

TIMEOUT_S: Final = 30.0  # of the real server
MAX_ANSWER_BYTES: Final = 1024 * 1024
HEADERS: Final = {"user-agent": "Mattermost-Bot/1.1", "accept": "application/json"}


class CallFailed(Exception):
    """The integration was not reached, or did not answer 200."""


def is_loopback(url: str) -> bool:
    """The sandbox calls nobody else, as the real server calls no private address that it was not told of."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def call_json(url: str, body: Mapping[str, Any]) -> bytes:
    """POST JSON; returns the answer's body. Raises CallFailed."""
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return await _call(url, content, {"content-type": "application/json"})


async def call_form(url: str, form: Mapping[str, str], token: str) -> bytes:
    """POST a form, its fields in order of their names, as Go writes them. Raises CallFailed."""
    content = urlencode(sorted(form.items()), errors="replace").encode()
    own = {"authorization": f"Token {token}", "content-type": "application/x-www-form-urlencoded"}
    return await _call(url, content, own)


async def _call(url: str, content: bytes, headers: Mapping[str, str]) -> bytes:
    if not is_loopback(url):
        raise CallFailed("address forbidden")
    try:
        async with httpx2.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as client:
            answer = await client.post(url, content=content, headers={**HEADERS, **headers})
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise CallFailed(type(error).__name__) from error
    if answer.status_code != 200:
        raise CallFailed(f"status {answer.status_code}")
    return answer.content[:MAX_ANSWER_BYTES]


def object_of(body: bytes) -> dict[str, Any]:
    """The JSON object answered. Raises CallFailed for anything else: an empty body is an error to the server too."""
    try:
        value = json.loads(body)
    except ValueError:
        raise CallFailed("no JSON") from None
    if not isinstance(value, dict):
        raise CallFailed("no object")
    return value


class Errands:
    """Calls that nobody waits for."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, errand: Coroutine[Any, Any, None]) -> None:
        """Begin one."""
        task = asyncio.get_running_loop().create_task(errand)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def end(self) -> None:
        """Cancel what is under way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

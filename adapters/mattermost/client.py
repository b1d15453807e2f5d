"""REST on one pooled httpx2 client, shaped as the `client` that mattermostdriver's endpoint classes call.

The endpoint classes return what their client returns, so here each call is awaitable. The driver's own client, its
`login` and its websocket are never used.
"""

from __future__ import annotations

import asyncio
import random
import re
import ssl
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any

import httpx2
from mattermostdriver.endpoints.channels import Channels
from mattermostdriver.endpoints.posts import Posts
from mattermostdriver.endpoints.system import System
from mattermostdriver.endpoints.teams import Teams
from mattermostdriver.endpoints.users import Users

from adapters.errors import AdapterError, FarSideFailed, Misconfigured, OutcomeUnknown, Passing, Unreachable
from adapters.mattermost.decode import MalformedJson, decode
from adapters.mattermost.faults import HTTP_ERRORS, refusal, translate
from adapters.mattermost.settings import MattermostSettings, ServerAddress

_VERSION = re.compile(r"\d+\.\d+\.\d+")
DATE_STEP_MS = 1000
Params = Mapping[str, str | int]


class WireClient:
    """One account's calls. GETs are repeated a few times after a passing fault; a call with an effect never is."""

    def __init__(self, settings: MattermostSettings, clock_ms: Callable[[], int]) -> None:
        self.address = ServerAddress.parse(settings.server_url)
        self._settings = settings
        self._clock_ms = clock_ms
        self._clock_offset_ms = 0
        self.server_version = ""
        self._http = _pooled(settings, self.address)

    async def close(self) -> None:
        """Give the pool back."""
        await self._http.aclose()

    def server_now_ms(self) -> int:
        """The server's clock as far as its `Date` header told: our own while the two agree, else not ahead of it."""
        return self._clock_ms() + self._clock_offset_ms

    async def get(self, endpoint: str, options: Any = None, params: Params | None = None) -> Any:
        """A read, repeated after a passing fault."""
        return await self._repeated(lambda: self._once("GET", endpoint, options, params, effect=False))

    async def post(
        self,
        endpoint: str,
        options: Any = None,
        params: Params | None = None,
        data: Any = None,
        files: Any = None,
    ) -> Any:
        """A call with an effect, made once."""
        return await self._once("POST", endpoint, options, params, effect=True)

    async def put(
        self, endpoint: str, options: Any = None, params: Params | None = None, data: Any = None
    ) -> Any:
        """A change to a stated value: a repeat does no harm, so no outcome is unknown."""
        return await self._once("PUT", endpoint, options, params, effect=False)

    async def _repeated(self, call: Callable[[], Any]) -> Any:
        pace = self._settings.pace
        for attempt in range(pace.read_retries):
            try:
                return await call()
            except Passing as fault:
                wait_s = fault.retry_after_s
                if wait_s is None:
                    wait_s = pace.backoff_first_s * 2**attempt * random.uniform(0.5, 1)
                if wait_s > pace.longest_wait_s:
                    raise
                await asyncio.sleep(wait_s)
        return await call()

    async def _once(
        self, method: str, endpoint: str, body: Any, params: Params | None, *, effect: bool
    ) -> Any:
        if self._http.is_closed:
            raise Unreachable("the adapter is closed", advice="Open it again.")
        try:
            response = await self._http.request(
                method, self.address.api_url + endpoint, json=body, params=dict(params) if params else None
            )
        except HTTP_ERRORS as error:
            raise translate(error, effect=effect) from error
        self._note_server(response.headers)
        return _answer(response, effect)

    def _note_server(self, headers: Mapping[str, str]) -> None:
        """Remember the server's clock and version."""
        version = _VERSION.match(headers.get("X-Version-Id", ""))
        self.server_version = version.group() if version else self.server_version
        try:
            told_ms = int(parsedate_to_datetime(headers.get("Date", "")).timestamp() * 1000)
        except (ValueError, TypeError):
            return
        ahead_ms = told_ms - self._clock_ms()
        # The header counts whole seconds. Believing it to the millisecond would make new what is a second older
        # than an installation, so a clock of ours that may be the server's is left alone.
        self._clock_offset_ms = 0 if -DATE_STEP_MS < ahead_ms <= 0 else ahead_ms


class Api:
    """The endpoint classes of mattermostdriver over one `WireClient`."""

    def __init__(self, client: WireClient) -> None:
        self.client = client
        self.users = Users(client)
        self.teams = Teams(client)
        self.channels = Channels(client)
        self.posts = Posts(client)
        self.system = System(client)


def tls_context(settings: MattermostSettings) -> ssl.SSLContext:
    """Trust the system's authorities, or ca_file's. Raises Misconfigured."""
    try:
        if settings.ca_file and not Path(settings.ca_file).is_file():  # a pipe would hold everybody up
            raise FileNotFoundError(settings.ca_file)
        return ssl.create_default_context(cafile=settings.ca_file or None)
    except (OSError, ValueError) as error:
        raise Misconfigured("ca_file cannot be read", advice="Give the path of a PEM file.") from error


def _pooled(settings: MattermostSettings, address: ServerAddress) -> httpx2.AsyncClient:
    token = settings.token.strip()
    if not token.isascii() or not token.isprintable() or not token:
        raise Misconfigured("the token is empty or has characters that no token has", advice="Copy it again.")
    # The cookie MMAUTHTOKEN would beat the header and then fail the CSRF check: take no cookie at all.
    no_cookies = CookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))
    pace = settings.pace
    return httpx2.AsyncClient(
        headers={"Authorization": f"Bearer {token}", "User-Agent": "FleetPrompt"},
        cookies=no_cookies,
        timeout=httpx2.Timeout(pace.read_timeout_s, connect=pace.connect_timeout_s),
        limits=httpx2.Limits(max_connections=32, max_keepalive_connections=16),
        verify=tls_context(settings) if address.scheme == "https" else False,
        trust_env=not address.is_loopback,
    )


def _answer(response: httpx2.Response, effect: bool) -> Any:
    try:
        body = decode(response.content)
    except MalformedJson:
        body = None
    if not response.is_success:
        raise refusal(response.status_code, body, response.headers, effect=effect)
    if body is None:
        raise _senseless(response, effect)
    return body


def _senseless(response: httpx2.Response, effect: bool) -> AdapterError:
    if "html" in response.headers.get("Content-Type", ""):
        return refusal(404, None, {}, effect=effect)
    if effect:
        return OutcomeUnknown("the server took the request and its answer makes no sense")
    return FarSideFailed("the answer makes no sense")

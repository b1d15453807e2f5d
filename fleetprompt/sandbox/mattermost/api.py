"""The REST API: finds the route, the account behind the token, and words every refusal as the real server does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any, Final

from fleetprompt.sandbox.mattermost.errors import ApiError
from fleetprompt.sandbox.mattermost.frames import SERVER_VERSION
from fleetprompt.sandbox.mattermost.ids import is_id, new_id
from fleetprompt.sandbox.mattermost.records import Channel, SandboxUser
from fleetprompt.sandbox.mattermost.site import Site
from fleetprompt.sandbox.messages import Answer, Eventually, Request, Response, json_response

PREFIX: Final = "/api/v4"
OK: Final = {"status": "OK"}


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated request. args: the route's parameters, "me" resolved. query: as sent."""

    site: Site
    user: SandboxUser
    request: Request
    args: Mapping[str, str]

    @property
    def query(self) -> Mapping[str, str]:
        """The query string's values."""
        return self.request.query

    def body(self, name: str) -> dict[str, Any]:
        """The JSON object sent. Raises ApiError 400, which calls it `name`."""
        value = self.json(name)
        if not isinstance(value, dict):
            raise bad_body(name)
        return value

    def id_list(self, name: str) -> list[str]:
        """The JSON array of strings sent. Raises ApiError 400."""
        value = self.json(name)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise bad_body(name)
        return value

    def json(self, name: str) -> Any:
        """The JSON sent, lone surrogates replaced as Go's decoder does. Raises ApiError 400."""
        try:
            value = self.request.json()
        except (ValueError, RecursionError):
            raise bad_body(name) from None
        return without_surrogates(value) if b"\\ud" in self.request.body.lower() else value

    def channel(self) -> Channel:
        """The route's channel. Raises ApiError 404."""
        return self.site.world.channel(self.args["channel_id"])

    def number(self, name: str, default: int) -> int:
        """A number of the query string; the server takes nonsense as the default."""
        value = self.query.get(name, "")
        return int(value) if value.isdigit() else default


def bad_body(name: str) -> ApiError:
    """400 for a body that is no such thing."""
    return ApiError("api.context.invalid_body_param.app_error", name=name)


def without_surrogates(value: Any) -> Any:
    """The same JSON with lone surrogates replaced by U+FFFD."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {without_surrogates(key): without_surrogates(item) for key, item in value.items()}
    return value


Handler = Callable[[Call], Answer]
OpenHandler = Callable[[Site, Request, Mapping[str, str]], Answer]


@dataclass(frozen=True, slots=True)
class _Route:
    segments: tuple[str, ...]
    handler: Handler | None
    open_handler: OpenHandler | None

    def match(self, segments: list[str]) -> dict[str, str] | None:
        args = {}
        for pattern, segment in zip(self.segments, segments, strict=True):
            if pattern.startswith("{"):
                args[pattern[1:-1]] = segment
            elif pattern != segment:
                return None
        return args


class Api:
    """A table of routes."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._routes: defaultdict[tuple[str, int], list[_Route]] = defaultdict(list)

    def add(self, method: str, path: str, handler: Handler) -> None:
        """Serve a route under /api/v4 to authenticated accounts. Literal segments before parameters: first match wins."""
        self._add(method, PREFIX + path, handler, None)

    def add_open(self, method: str, path: str, handler: OpenHandler) -> None:
        """Serve a route to everybody; `path` is whole."""
        self._add(method, path, None, handler)

    def _add(self, method: str, path: str, handler: Handler | None, open_handler: OpenHandler | None) -> None:
        segments = tuple(path.split("/"))
        self._routes[method, len(segments)].append(_Route(segments, handler, open_handler))

    def answer(self, request: Request) -> Answer:
        """Carry out a request."""
        try:
            return self._carry_out(request)
        except ApiError as error:
            return refusal(error)

    def _carry_out(self, request: Request) -> Answer:
        segments = request.path.split("/")
        for route in self._routes[request.method, len(segments)]:
            args = route.match(segments)
            if args is None:
                continue
            if route.open_handler:
                return route.open_handler(self.site, request, args)
            if route.handler:
                return self._authenticated(route.handler, request, args)
        raise ApiError("api.context.404.app_error")

    def _authenticated(self, handler: Handler, request: Request, args: dict[str, str]) -> Answer:
        user = authenticate(self.site, request)
        for name, value in args.items():
            if value == "me" and name == "user_id":
                args[name] = user.id
            elif name.endswith("_id") and not is_id(value):
                raise ApiError("api.context.invalid_url_param.app_error", name=name)
        return handler(Call(self.site, user, request, args))


def authenticate(site: Site, request: Request) -> SandboxUser:
    """The account of the request's token. A session cookie beats the header and then wants a CSRF token.

    Raises ApiError 401.
    """
    cookie = SimpleCookie(request.headers.get("cookie", "")).get("MMAUTHTOKEN")
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if cookie:
        token = cookie.value if request.method == "GET" else ""
    elif scheme.lower() not in ("bearer", "token"):
        token = ""
    user = site.world.users_by_token.get(token)
    if user is None or user.revoked:
        raise ApiError("api.context.session_expired.app_error")
    return user


def eventually(carry_out: Callable[[], Awaitable[Response]]) -> Eventually:
    """An answer that waits for an integration's; a refusal is worded as everywhere."""

    async def answer() -> Answer:
        try:
            return await carry_out()
        except ApiError as error:
            return refusal(error)

    return Eventually(answer)


def refusal(error: ApiError) -> Response:
    """An error as an answer."""
    return reply(error.as_json(new_id()), error.status)


def reply(value: Any, status: int = 200, *headers: tuple[str, str]) -> Response:
    """A JSON answer with the headers that each answer of the server has."""
    return json_response(
        status, value, (("x-version-id", SERVER_VERSION), ("x-request-id", new_id()), *headers)
    )

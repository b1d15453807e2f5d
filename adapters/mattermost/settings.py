"""What a person sets for one bot account on one server, and the pace of its connection."""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from adapters.errors import Misconfigured

DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Pace:
    """Time-outs and limits of one connection; the defaults are for a real server.

    overlap_ms: catch-up reads so far behind the watermark, because a post's `create_at` is stamped before plugins and
    the database have had their turn, and so a frame may come late. What is read twice has the same event_key.
    change_horizon_ms: edits and deletions are looked for in channels with a post since then.
    """

    connect_timeout_s: float = 5.0
    read_timeout_s: float = 30.0
    read_retries: int = 2
    longest_wait_s: float = 10.0
    ping_interval_s: float = 30.0
    pong_timeout_s: float = 10.0
    hello_timeout_s: float = 15.0
    backoff_first_s: float = 0.5
    backoff_most_s: float = 60.0
    overlap_ms: int = 30_000
    change_horizon_ms: int = 24 * 3600 * 1000
    buffered_frames: int = 10_000


@dataclass(frozen=True, slots=True)
class MattermostSettings:
    """One bot account on one server.

    team: its URL name; "" = all teams of the account. start_at_ms: the install's moment by the server's clock (unix ms):
    older messages are history and never read; 0 = the moment when `listen` first reaches the server.
    ca_file: PEM file of a private certificate authority, "" = the system's.
    """

    server_url: str
    token: str = field(repr=False)
    team: str = ""
    start_at_ms: int = 0
    allow_user_account: bool = False
    ca_file: str = ""
    pace: Pace = field(default_factory=Pace)


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A server's address in one spelling: lower-case host, no default port, no slash at the end."""

    scheme: str
    authority: str
    path: str
    is_loopback: bool

    @classmethod
    def parse(cls, server_url: str) -> ServerAddress:
        """Raises Misconfigured when it is not an http(s) address."""
        try:
            parts = urlsplit(server_url.strip())
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise _not_an_address() from error
        if (
            parts.scheme.lower() not in DEFAULT_PORTS
            or not host
            or parts.username
            or parts.query
            or parts.fragment
        ):
            raise _not_an_address()
        return cls(
            parts.scheme.lower(), _authority(parts, host, port), parts.path.rstrip("/"), _is_loopback(host)
        )

    @property
    def api_url(self) -> str:
        """The REST root."""
        return f"{self.scheme}://{self.authority}{self.path}/api/v4"

    @property
    def websocket_url(self) -> str:
        """The event stream."""
        scheme = "wss" if self.scheme == "https" else "ws"
        return f"{scheme}://{self.authority}{self.path}/api/v4/websocket"

    def account_key(self, user_id: str) -> str:
        """The same for every spelling of the address, with http or https; different for another server or account."""
        return hashlib.sha256(f"mattermost|{self.authority}{self.path}|{user_id}".encode()).hexdigest()[:32]


def _authority(parts: SplitResult, host: str, port: int | None) -> str:
    name = f"[{host.lower()}]" if ":" in host else host.lower()
    return name if port in (None, DEFAULT_PORTS[parts.scheme.lower()]) else f"{name}:{port}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _not_an_address() -> Misconfigured:
    return Misconfigured(
        "server_url is not the address of a server",
        advice="Give the address as a browser shows it, such as https://chat.example.org, without a user or a query.",
    )

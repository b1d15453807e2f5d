"""Websocket events in the recorded shape, serialised once for all who get them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fleetprompt.sandbox.messages import encode_json

SERVER_VERSION = "5.37.0..1ff095d6e9ce7ada0ba7b145a7225bfd.false"


@dataclass(frozen=True, slots=True)
class Audience:
    """Who gets an event: one user, a channel's members or a team's members; "" = not by that."""

    user_id: str = ""
    channel_id: str = ""
    team_id: str = ""
    omit_users: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The event's `broadcast`."""
        return {
            "omit_users": dict.fromkeys(self.omit_users, True) if self.omit_users else None,
            "user_id": self.user_id,
            "channel_id": self.channel_id,
            "team_id": self.team_id,
        }


@dataclass(slots=True)
class Event:
    """One event. data: sorted by name on the wire, as Go writes maps."""

    name: str
    data: dict[str, Any]
    audience: Audience = field(default_factory=Audience)
    _prefix: bytes = b""

    def frame(self, seq: int) -> bytes:
        """The frame with a connection's own sequence number."""
        if not self._prefix:
            body = {
                "event": self.name,
                "data": dict(sorted(self.data.items())),
                "broadcast": self.audience.as_json(),
            }
            self._prefix = encode_json(body)[:-1]
        return b'%s,"seq":%d}' % (self._prefix, seq)


def nested(value: Any) -> str:
    """JSON inside of a JSON string, as `data.post` and `data.mentions` are."""
    return encode_json(value).decode()

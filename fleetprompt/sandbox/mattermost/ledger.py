"""The judge of chaos tests: what the server accepted, in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One post that the server accepted from a client, in order of arrival; never changed afterwards.

    arrival: 1, 2, 3 ... pending_post_id and props: as the request sent them. via: rest, webhook or sandbox.
    """

    arrival: int
    post_id: str
    create_at: int
    user_id: str
    channel_id: str
    root_id: str
    message: str
    props: dict[str, Any]
    pending_post_id: str
    via: str

"""Where an integration may answer a slash command later: five times within half an hour."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from fleetprompt.sandbox.mattermost.errors import ApiError
from fleetprompt.sandbox.mattermost.ids import new_secret

USES: Final = 5
LASTS_MS: Final = 30 * 60 * 1000


@dataclass(slots=True)
class ResponseUrl:
    """Whose command it was, and where. created_at: unix ms."""

    user_id: str
    channel_id: str
    root_id: str
    created_at: int
    uses: int = 0


@dataclass(slots=True)
class ResponseUrls:
    """Those of commands so far."""

    by_id: dict[str, ResponseUrl] = field(default_factory=dict)

    def add(self, place: ResponseUrl) -> str:
        """Returns the id of its address."""
        hook_id = new_secret()
        self.by_id[hook_id] = place
        return hook_id

    def use(self, hook_id: str, now_ms: int) -> ResponseUrl:
        """Raises ApiError 404 for one that is unknown or too old, 400 for one that is used up."""
        found = self.by_id.get(hook_id)
        if found is None or now_ms - found.created_at > LASTS_MS:
            raise ApiError("app.command_webhook.get.missing")
        if found.uses >= USES:
            raise ApiError("app.command_webhook.try_use.invalid")
        found.uses += 1
        return found

"""Slash commands and outgoing webhooks as the sandbox stores them, in the recorded shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class SlashCommand:
    """A custom slash command of a team: `url` is called with a form. method: P or G."""

    id: str
    token: str
    creator_id: str
    team_id: str
    trigger: str
    url: str
    create_at: int
    method: str = "P"
    display_name: str = ""
    auto_complete: bool = False

    def as_json(self) -> dict[str, Any]:
        """As `POST /commands`."""
        return {
            "id": self.id,
            "token": self.token,
            "create_at": self.create_at,
            "update_at": self.create_at,
            "delete_at": 0,
            "creator_id": self.creator_id,
            "team_id": self.team_id,
            "trigger": self.trigger,
            "method": self.method,
            "username": "",
            "icon_url": "",
            "auto_complete": self.auto_complete,
            "auto_complete_desc": "",
            "auto_complete_hint": "",
            "display_name": self.display_name,
            "description": "",
            "url": self.url,
            "plugin_id": "",
        }


@dataclass(slots=True)
class OutgoingHook:
    """An outgoing webhook of a public channel: posts that begin with a trigger word are sent to `callback_urls`."""

    id: str
    token: str
    creator_id: str
    channel_id: str
    team_id: str
    trigger_words: list[str]
    callback_urls: list[str]
    display_name: str
    content_type: str
    create_at: int

    def as_json(self) -> dict[str, Any]:
        """As `POST /hooks/outgoing`."""
        return {
            "id": self.id,
            "token": self.token,
            "create_at": self.create_at,
            "update_at": self.create_at,
            "delete_at": 0,
            "creator_id": self.creator_id,
            "channel_id": self.channel_id,
            "team_id": self.team_id,
            "trigger_words": self.trigger_words,
            "trigger_when": 0,
            "callback_urls": self.callback_urls,
            "display_name": self.display_name,
            "description": "",
            "content_type": self.content_type,
            "username": "",
            "icon_url": "",
        }

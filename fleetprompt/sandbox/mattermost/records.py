"""What the sandbox stores, and its JSON as recorded from a real 5.37 server, field order included."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from fleetprompt.sandbox.mattermost.integration_records import OutgoingHook, SlashCommand


@dataclass(slots=True)
class SandboxUser:
    """A person or a bot account. token: a bearer token that never expires, unless revoked. Times in unix ms."""

    id: str
    username: str
    token: str
    is_bot: bool = False
    create_at: int = 0
    update_at: int = 0
    first_name: str = ""
    roles: str = "system_user"
    password: str = "Passw0rd!"  # noqa: S105 (of every sandbox account, as recorded)
    revoked: bool = False
    delete_at: int = 0

    @property
    def is_admin(self) -> bool:
        return "system_admin" in self.roles

    def as_json(self, *, own: bool = False) -> dict[str, Any]:
        """own: as the account sees itself; others see neither notify_props nor the password's age."""
        domain = "localhost" if self.is_bot else "example.org"
        return {
            "id": self.id,
            "create_at": self.create_at,
            "update_at": self.update_at,
            "delete_at": self.delete_at,
            "username": self.username,
            "auth_data": "",
            "auth_service": "",
            "email": f"{self.username}@{domain}",
            "nickname": "",
            "first_name": self.first_name,
            "last_name": "",
            "position": "",
            "roles": self.roles,
            **({"notify_props": dict(_NOTIFY_PROPS), "last_password_update": self.create_at} if own else {}),
            "locale": "en",
            "timezone": {"automaticTimezone": "", "manualTimezone": "", "useAutomaticTimezone": "true"},
            **({"is_bot": True} if self.is_bot else {}),
            "disable_welcome_email": False,
        }


_NOTIFY_PROPS: Final = {
    "channel": "true",
    "comments": "never",
    "desktop": "mention",
    "desktop_sound": "true",
    "email": "true",
    "first_name": "false",
    "mention_keys": "",
    "push": "mention",
    "push_status": "away",
}


@dataclass(slots=True)
class Team:
    """A team. members: user ids."""

    id: str
    name: str
    display_name: str
    create_at: int
    invite_id: str
    members: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """As `GET /teams/{id}`."""
        return {
            "id": self.id,
            "create_at": self.create_at,
            "update_at": self.create_at,
            "delete_at": 0,
            "display_name": self.display_name,
            "name": self.name,
            "description": "",
            "email": "",
            "type": "O",
            "company_name": "",
            "allowed_domains": "",
            "invite_id": self.invite_id,
            "allow_open_invite": False,
            "scheme_id": None,
            "group_constrained": None,
            "policy_id": None,
        }


@dataclass(slots=True)
class Channel:
    """A channel. kind: O public, P private, D direct, G group. members: user id -> joined at (unix ms)."""

    id: str
    kind: str
    name: str
    display_name: str
    create_at: int
    team_id: str = ""
    creator_id: str = ""
    header: str = ""
    purpose: str = ""
    update_at: int = 0
    delete_at: int = 0
    last_post_at: int = 0
    total_msg_count: int = 0
    total_msg_count_root: int = 0
    members: dict[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As `GET /channels/{id}`."""
        return {
            "id": self.id,
            "create_at": self.create_at,
            "update_at": self.update_at,
            "delete_at": self.delete_at,
            "team_id": self.team_id,
            "type": self.kind,
            "display_name": self.display_name,
            "name": self.name,
            "header": self.header,
            "purpose": self.purpose,
            "last_post_at": self.last_post_at,
            "total_msg_count": self.total_msg_count,
            "extra_update_at": 0,
            "creator_id": self.creator_id,
            "scheme_id": None,
            "props": None,
            "group_constrained": None,
            "shared": False if self.kind == "D" else None,
            "total_msg_count_root": self.total_msg_count_root,
            "policy_id": None,
        }

    def member_as_json(self, user_id: str) -> dict[str, Any]:
        """As `POST /channels/{id}/members`."""
        return {
            "channel_id": self.id,
            "user_id": user_id,
            "roles": "channel_user",
            "last_viewed_at": 0,
            "msg_count": 0,
            "mention_count": 0,
            "mention_count_root": 0,
            "msg_count_root": 0,
            "notify_props": {
                "desktop": "default",
                "email": "default",
                "ignore_channel_mentions": "default",
                "mark_unread": "all",
                "push": "default",
            },
            "last_update_at": self.members[user_id],
            "scheme_guest": False,
            "scheme_user": True,
            "scheme_admin": False,
            "explicit_roles": "",
        }


@dataclass(slots=True)
class Post:
    """A post, or the copy of what an edit replaced (`original_id` set). Times in unix ms."""

    id: str
    create_at: int
    update_at: int
    user_id: str
    channel_id: str
    message: str
    root_id: str = ""
    edit_at: int = 0
    delete_at: int = 0
    original_id: str = ""
    type: str = ""
    is_pinned: bool = False
    props: dict[str, Any] = field(default_factory=dict)
    file_ids: list[str] = field(default_factory=list)
    reactions: list[dict[str, Any]] = field(default_factory=list)
    integrations: dict[str, dict[str, Any]] = field(default_factory=dict)  # action id -> what no client sees

    def as_json(
        self, *, reply_count: int = 0, pending_post_id: str = "", metadata: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """As the API shows it. metadata None leaves the field out, as some of the real answers do."""
        return {
            "id": self.id,
            "create_at": self.create_at,
            "update_at": self.update_at,
            "edit_at": self.edit_at,
            "delete_at": self.delete_at,
            "is_pinned": self.is_pinned,
            "user_id": self.user_id,
            "channel_id": self.channel_id,
            "root_id": self.root_id,
            "parent_id": self.root_id,
            "original_id": self.original_id,
            "message": "" if self.delete_at else self.message,
            "type": self.type,
            "props": self.props,
            "hashtags": "",
            **({"file_ids": self.file_ids} if self.file_ids else {}),
            "pending_post_id": pending_post_id,
            **({"has_reactions": True} if self.reactions else {}),
            "reply_count": reply_count,
            "last_reply_at": 0,
            "participants": None,
            **({} if metadata is None else {"metadata": metadata}),
        }


@dataclass(slots=True)
class FileInfo:
    """An uploaded file. content: base64, so that a state file stays text."""

    id: str
    user_id: str
    create_at: int
    name: str
    mime_type: str
    size: int
    content: str
    post_id: str = ""

    def as_json(self) -> dict[str, Any]:
        """As `GET /files/{id}/info`."""
        return {
            "id": self.id,
            "user_id": self.user_id,
            **({"post_id": self.post_id} if self.post_id else {}),
            "channel_id": "",
            "create_at": self.create_at,
            "update_at": self.create_at,
            "delete_at": 0,
            "name": self.name,
            "extension": self.name.rpartition(".")[2] if "." in self.name else "",
            "size": self.size,
            "mime_type": self.mime_type,
            "mini_preview": None,
            "remote_id": "",
        }


@dataclass(slots=True)
class IncomingHook:
    """An incoming webhook: `POST /hooks/{id}` posts as its owner."""

    id: str
    user_id: str
    channel_id: str
    team_id: str
    display_name: str
    create_at: int

    def as_json(self) -> dict[str, Any]:
        """As `POST /hooks/incoming`."""
        return {
            "id": self.id,
            "create_at": self.create_at,
            "update_at": self.create_at,
            "delete_at": 0,
            "user_id": self.user_id,
            "channel_id": self.channel_id,
            "team_id": self.team_id,
            "display_name": self.display_name,
            "description": "",
            "username": "",
            "icon_url": "",
            "channel_locked": False,
        }


Record = SandboxUser | Team | Channel | Post | FileInfo | IncomingHook | SlashCommand | OutgoingHook

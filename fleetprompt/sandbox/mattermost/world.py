"""The sandbox's database: what survives a restart. With a state file, an append-only log of JSON lines."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, TextIO, TypeVar

from fleetprompt.sandbox.mattermost.errors import ApiError
from fleetprompt.sandbox.mattermost.integration_records import OutgoingHook, SlashCommand
from fleetprompt.sandbox.mattermost.ledger import LedgerEntry
from fleetprompt.sandbox.mattermost.records import (
    Channel,
    FileInfo,
    IncomingHook,
    Post,
    Record,
    SandboxUser,
    Team,
)

T = TypeVar("T")
_KINDS: Final[dict[str, type[Record]]] = {
    "user": SandboxUser,
    "team": Team,
    "channel": Channel,
    "post": Post,
    "file": FileInfo,
    "hook": IncomingHook,
    "command": SlashCommand,
    "outgoing_hook": OutgoingHook,
}
_NAMES: Final = {record: kind for kind, record in _KINDS.items()}


class World:
    """All records with their look-ups. After a change call `save`."""

    def __init__(self, state_path: Path | None = None) -> None:
        self._path = state_path
        self._log: TextIO | None = None
        self._last_ms = 0
        self._clear()
        if state_path:
            self._open(state_path)

    def _clear(self) -> None:
        self.users: dict[str, SandboxUser] = {}
        self.teams: dict[str, Team] = {}
        self.channels: dict[str, Channel] = {}
        self.posts: dict[str, Post] = {}
        self.files: dict[str, FileInfo] = {}
        self.hooks: dict[str, IncomingHook] = {}
        self.commands: dict[str, SlashCommand] = {}
        self.outgoing_hooks: dict[str, OutgoingHook] = {}
        self.ledger: list[LedgerEntry] = []
        self.users_by_name: dict[str, SandboxUser] = {}
        self.users_by_token: dict[str, SandboxUser] = {}
        self.posts_of: defaultdict[str, dict[str, Post]] = defaultdict(dict)
        self.replies_of: defaultdict[str, dict[str, Post]] = defaultdict(dict)
        self.channels_by_name: dict[tuple[str, str], Channel] = {}

    def _open(self, path: Path) -> None:
        if path.exists():
            for line in path.read_text(encoding="utf-8", errors="surrogatepass").splitlines():
                self._replay(line)
        self._log = path.open("a", encoding="utf-8")

    def _replay(self, line: str) -> None:
        try:
            entry = json.loads(line)
        except ValueError:
            return  # the last line of a process that was killed while it wrote
        if entry["kind"] == "ledger":
            self.ledger.append(LedgerEntry(**entry["record"]))
        else:
            self._index(_KINDS[entry["kind"]](**entry["record"]))

    def reload(self) -> None:
        """Forget the memory and read the state file again; without one nothing is forgotten."""
        if self._path:
            self.close()
            self._clear()
            self._open(self._path)

    def close(self) -> None:
        """Close the state file; idempotent."""
        if self._log:
            self._log.close()
            self._log = None

    def save(self, record: Record) -> None:
        """Store a new or changed record."""
        self._index(record)
        self._write(_NAMES[type(record)], record)

    def enter(self, entry: LedgerEntry) -> None:
        """Append to the ledger."""
        self.ledger.append(entry)
        self._write("ledger", entry)

    def _write(self, kind: str, record: Record | LedgerEntry) -> None:
        if self._log:
            self._log.write(json.dumps({"kind": kind, "record": asdict(record)}) + "\n")
            self._log.flush()

    def _index(self, record: Record) -> None:
        match record:
            case SandboxUser():
                self.users[record.id] = self.users_by_name[record.username] = record
                self.users_by_token[record.token] = record
            case Channel():
                self.channels[record.id] = self.channels_by_name[record.team_id, record.name] = record
            case Post():
                self._index_post(record)
            case _:
                self._table_of(record)[record.id] = record

    def _table_of(self, record: Record) -> dict[str, Any]:
        """Where records without further look-ups lie."""
        tables: dict[type[Record], dict[str, Any]] = {
            Team: self.teams,
            FileInfo: self.files,
            IncomingHook: self.hooks,
            SlashCommand: self.commands,
            OutgoingHook: self.outgoing_hooks,
        }
        return tables[type(record)]

    def _index_post(self, post: Post) -> None:
        self._last_ms = max(self._last_ms, post.create_at)
        self.posts[post.id] = post
        self.posts_of[post.channel_id][post.id] = post
        if post.root_id:
            self.replies_of[post.root_id][post.id] = post

    def now_ms(self) -> int:
        """Unix milliseconds that never run backwards; two posts may share one."""
        self._last_ms = max(self._last_ms, int(time.time() * 1000))
        return self._last_ms

    def user(self, user_id: str) -> SandboxUser:
        """Raises ApiError 404."""
        return _found(self.users.get(user_id), "app.user.missing_account.const")

    def channel(self, channel_id: str) -> Channel:
        """Raises ApiError 404."""
        return _found(self.channels.get(channel_id), "app.channel.get.existing.app_error")

    def team(self, team_id: str) -> Team:
        """Raises ApiError 404."""
        return _found(self.teams.get(team_id), "app.team.get.find.app_error")

    def team_named(self, name: str) -> Team | None:
        """The team of that URL name."""
        return next((team for team in self.teams.values() if team.name == name), None)

    def post(self, post_id: str) -> Post:
        """A post that is neither deleted nor an edit's copy. Raises ApiError 404."""
        post = self.posts.get(post_id)
        return _found(post if post and not post.delete_at else None, "app.post.get.app_error")

    def reply_count(self, post: Post) -> int:
        """Replies in the post's thread, deleted ones aside."""
        replies = self.replies_of.get(post.root_id or post.id)
        return sum(1 for reply in replies.values() if not reply.delete_at) if replies else 0

    def metadata(self, post: Post) -> dict[str, Any]:
        """The `metadata` of a post: its attachments' marker, files and reactions."""
        metadata: dict[str, Any] = {}
        if post.delete_at:
            return metadata
        if post.props.get("attachments"):
            metadata["embeds"] = [{"type": "message_attachment"}]
        if post.file_ids:
            metadata["files"] = [self.files[i].as_json() for i in post.file_ids if i in self.files]
        if post.reactions:
            metadata["reactions"] = list(post.reactions)
        return metadata

    def as_json(self, post: Post, *, pending_post_id: str = "") -> dict[str, Any]:
        """The post with its reply count and metadata."""
        return post.as_json(
            reply_count=self.reply_count(post), pending_post_id=pending_post_id, metadata=self.metadata(post)
        )


def _found(record: T | None, error_id: str) -> T:
    if record is None:
        raise ApiError(error_id)
    return record

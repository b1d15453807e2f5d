"""Secrets that people paste into a chat are taken out before anything is written: from the text and from the raw bytes.

Two rules. What has a secret's shape (`kernel.secret_shapes`) goes, whoever wrote it and wherever, edits included. And
while a secret is awaited from somebody (an open link of theirs, `packages.secret_links`), whatever they write in the
conversation where they were asked, or to us alone, is taken for the secret and goes whole, raw bytes and all; elsewhere
a lone word goes that could be one. Commands that hold no word of their own stay, so that they can ask for another link.
What was taken out is told as a fact without the secret, and the person is told to revoke it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from adapters.contract import AuthorKind, Inbound
from fleetprompt.connectors.conversations import COLUMNS, ConversationKey, Projected, conversation_key
from fleetprompt.database.driver import Sql
from fleetprompt.kernel.secret_shapes import REMOVED, shapes_in, without_shapes
from fleetprompt.tenancy import TenantSession

if TYPE_CHECKING:
    from fleetprompt.connectors.ingest import Told

AWAITED: Final = "awaited"
WITHHELD: Final = "[removed: a secret was awaited here]"
RAW: Final = b'{"removed":"a secret was awaited here"}'
# Always a row: whether a secret is awaited from somebody here costs no round trip of its own.
# ruff: noqa: S608 - constants of this very file
_KNOWN: Final = Sql(
    "select exists (select from secret_links l where l.asked_installation_id = :installation_id"
    f" and l.expires_at > now() - interval '2 days'), {', '.join(f'm.{name}' for name in COLUMNS)}"
    " from (select) one left join messages m"
    " on m.installation_id = :installation_id and m.external_id = any(:external_ids)"
)
_AWAITED: Final = Sql(
    "select l.asked_subject, l.asked_conversation_id, l.expires_at > now(),"
    " extract(epoch from l.created_at) * 1000, extract(epoch from l.expires_at) * 1000, l.credential, i.package, i.name"
    " from secret_links l join installations i on i.id = l.installation_id"
    " where l.asked_installation_id = :installation_id and l.expires_at > now() - interval '2 days'"
)
_COMMANDS: Final = frozenset({
    *("help", "status", "whoami", "test", "audit", "info", "search", "secret", "reauth", "confirm", "reject"),
    *("cancel", "unlink", "enable", "disable", "uninstall", "rollback", "pause-all"),
})  # fmt: skip
SKEW_MS: Final = 60_000  # between the chat's clock and ours
_PLAN: Final = re.compile(r"P-[0-9A-Z]{4,8}", re.IGNORECASE)
_COULD_BE_ONE: Final = re.compile(r"(?=\S*\d)(?=\S*[A-Za-z])\S{12,}")


@dataclass(frozen=True, slots=True)
class Awaited:
    """From whom a secret is awaited, and where they were asked. words: of commands that are no secret.

    since_ms, until_ms: by our clock; what is read late was perhaps written in between.
    """

    subject: str
    conversation_id: UUID | None
    is_open: bool
    since_ms: float
    until_ms: float
    words: frozenset[str]

    def covers(self, event: Inbound) -> bool:
        """Whether it was, or may have been, awaited when this was written."""
        is_late = event.caught_up and self.since_ms - SKEW_MS <= event.sent_at_ms <= self.until_ms + SKEW_MS
        return self.is_open or is_late


@dataclass(frozen=True, slots=True)
class Taken:
    """What was taken out of an event: its place in the batch, the event as it may be stored, the kinds of secrets."""

    number: int
    event: Inbound
    kinds: tuple[str, ...]
    conversation_id: UUID | None


async def known_and_awaited(
    session: TenantSession, installation_id: UUID, external_ids: Iterable[str]
) -> tuple[dict[str, Projected], bool]:
    """Those of these messages that are there, and whether a secret is or was lately awaited from anybody who can be heard here."""
    values = {"installation_id": installation_id, "external_ids": list(set(external_ids))}
    rows = await session.fetch(_KNOWN, values)
    found = [Projected(*tuple(row)[1:]) for row in rows if row[1] is not None]
    return {message.external_id: message for message in found}, rows[0][0]


async def awaited(session: TenantSession, installation_id: UUID) -> list[Awaited]:
    """From whom secrets are awaited who can be heard through this installation."""
    rows = await session.fetch(_AWAITED, {"installation_id": installation_id})
    return [
        Awaited(row[0], row[1], row[2], float(row[3]), float(row[4]), frozenset(row[5:8]) - {""})
        for row in rows
    ]


def cleaned(
    told: Sequence[Told],
    waiting: Sequence[Awaited],
    conversations: Mapping[ConversationKey, UUID],
    known: Mapping[str, Projected],
) -> tuple[list[Told], list[Taken]]:
    """The events as they may be stored, and what was taken out. known: messages that are there, by external id."""
    clean: list[Told] = []
    taken: list[Taken] = []
    removed = {one.external_id for one in known.values() if one.text == WITHHELD}
    for number, (source, event) in enumerate(told):
        kinds: tuple[str, ...] = ()
        conversation_id = conversations.get(conversation_key(event.place, event.external_id))
        said = source.request(event.text) if waiting else ""
        if any(_is_awaited(event, said, one, conversation_id) for one in waiting):
            removed.add(event.external_id)
            clean_event, kinds = _removed(event), (AWAITED,)
        elif event.external_id in removed:  # taken back or changed: the frame quotes it once more
            clean_event = _removed(event)
        else:
            clean_event, kinds = without_secrets(event)
        clean.append((source, clean_event))
        if kinds and event.author.kind is not AuthorKind.SELF:
            taken.append(Taken(number, clean_event, kinds, conversation_id))
    return clean, taken


async def raw_to_keep(session: TenantSession, installation_id: UUID, event: Inbound) -> bytes:
    """Of an event that cannot be stored as what it is: nothing, where its author may have pasted what is awaited."""
    waiting = await awaited(session, installation_id)
    if any(one.subject == event.author.id and one.covers(event) for one in waiting):
        return RAW
    return without_secrets_in(event.raw, lambda _: None)


def _removed(event: Inbound) -> Inbound:
    text, raw = event.text and WITHHELD, event.raw and RAW
    return replace(event, text=text, raw=raw, addressed=False, mentions_us=False)


def _is_awaited(event: Inbound, said: str, one: Awaited, conversation_id: UUID | None) -> bool:
    is_theirs = event.author.id == one.subject and event.author.kind is AuthorKind.PERSON
    if not is_theirs or not said.strip() or not one.covers(event):
        return False
    is_here = event.place.channel_kind == "direct" or conversation_id == one.conversation_id
    return not _is_command(said, one.words) if is_here else bool(_COULD_BE_ONE.fullmatch(said.strip()))


def _is_command(said: str, words: frozenset[str]) -> bool:
    verb, *rest = said.split()
    return verb.lower() in _COMMANDS and all(word in words or _PLAN.fullmatch(word) for word in rest)


def without_secrets(event: Inbound) -> tuple[Inbound, tuple[str, ...]]:
    """The event without what has a secret's shape, and the kinds of what was there; mostly there is nothing."""
    kinds = dict[str, None]()
    text = without_shapes(event.text, kinds.setdefault)
    raw = without_secrets_in(event.raw, kinds.setdefault, surely=bool(kinds))
    return (replace(event, text=text, raw=raw), tuple(kinds)) if kinds else (event, ())


def without_secrets_in(raw: bytes, note: Callable[[str], object], *, surely: bool = False) -> bytes:
    """Raw bytes, mostly JSON with JSON inside, without shapes. surely: there is something, though bytes may hide it."""
    if not surely and not shapes_in(raw):
        return raw
    try:
        value = json.loads(raw)
        return raw if (clean := _inside(value, note)) == value else _spelt(clean).encode()
    except (ValueError, RecursionError):
        return _blotted(raw, note)


def _inside(value: Any, note: Callable[[str], object]) -> Any:
    if isinstance(value, str):
        return _in_words(value, note)
    if isinstance(value, list):
        return [_inside(one, note) for one in value]
    if isinstance(value, dict):
        return {_in_words(key, note): _inside(one, note) for key, one in value.items()}
    return value


def _in_words(text: str, note: Callable[[str], object]) -> str:
    """Of a post that a frame carries as a string of JSON, too."""
    if text[:1] in ("{", "["):
        try:
            value = json.loads(text)
            return text if (clean := _inside(value, note)) == value else _spelt(clean)
        except ValueError:
            pass
    return without_shapes(text, note)


def _spelt(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _blotted(raw: bytes, note: Callable[[str], object]) -> bytes:
    pieces, place = [], 0
    for one in shapes_in(raw):
        note(one.kind)
        pieces += [raw[place : one.start], REMOVED.encode()]
        place = one.end
    return b"".join([*pieces, raw[place:]])

"""Turn what a far side told into stored facts: one transaction for all that is ready.

Conversations, messages, signals and the cursor commit together, those of several callers too, so a death before the commit reads the batch again,
and one after it finds every event known by its key. Our own posts are projected and wake nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID
from weakref import WeakKeyDictionary

from adapters.contract import AuthorKind, Cursor, EventKind, Inbound
from fleetprompt.connectors import pasted, revoking
from fleetprompt.connectors.catalogue import OF_EVENT
from fleetprompt.connectors.conversations import (
    ConversationKey,
    Projected,
    conversation_key,
    find_conversations,
    mark_thread_deleted,
    save_messages,
)
from fleetprompt.connectors.group import GroupCommit
from fleetprompt.database.driver import Sql
from fleetprompt.database.engine import is_away
from fleetprompt.kernel import faults
from fleetprompt.kernel.errors import FleetPromptError
from fleetprompt.kernel.ids import TenantSlug, new_id
from fleetprompt.kernel.json import clean_object, clean_text
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import Actor, Emitted, NewSignal, emit_many
from fleetprompt.tenancy import Tenancy, TenantSession

GROUP = 1000  # events in one transaction, of all callers together
ABOUT_MESSAGES = (EventKind.MESSAGE, EventKind.EDITED, EventKind.DELETED)
ACTOR_OF = {
    AuthorKind.PERSON: "human",
    AuthorKind.BOT: "integration",
    AuthorKind.WEBHOOK: "integration",
    AuthorKind.SYSTEM: "system",
    AuthorKind.SELF: "agent",
}

# Also the fence: a listener with older settings must not store what another account would read differently; a change
# that forgets the cursor waits for us, or we see it.
_SAVE_CURSOR = Sql("""
insert into installation_cursors (installation_id, cursor)
select id, :cursor from installations where id = :id and generation = :generation and state in ('installed', 'upgrading')
    for share
on conflict (installation_id) do update set cursor = excluded.cursor, updated_at = now() returning 1
""")


class Superseded(FleetPromptError):
    """Somebody else, or nobody, reads for this installation now."""

    code = "superseded"


@dataclass(frozen=True, slots=True)
class Source:
    """Whose events these are, by which generation of its settings they were read. allowed_bots: accounts, by id or account name, that may wake us though no person.

    request: a message's text -> the text without the mention of us that leads it. prepare: an event -> the same event, as
    far as it can be worked out before the transaction that stores it, where that takes long.
    """

    tenant: TenantSlug
    installation_id: UUID
    generation: int
    package: str
    request: Callable[[str], str]
    allowed_bots: Collection[str] = ()
    batch: Callable[[TenantSession, Registry, UUID], Batch] | None = None
    prepare: Callable[[Source, Inbound], Inbound] | None = None


Told = tuple[Source, Inbound]


class Batch(Protocol):
    """One transaction's work: events become facts, and whatever follows from them."""

    async def store(self, told: Sequence[Told]) -> list[Emitted | None]:
        """The signal of each event; None where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class _Asked:
    """What one caller wants stored."""

    source: Source
    batch: Sequence[Inbound]


Group = GroupCommit[_Asked, list[Emitted]]
_GROUPS: WeakKeyDictionary[Tenancy, dict[tuple[TenantSlug, UUID, int, int], Group]] = WeakKeyDictionary()
"""By installation, with the generation of its settings; only those that somebody waits for."""


async def ingest(
    tenancy: Tenancy, registry: Registry, source: Source, batch: Sequence[Inbound]
) -> list[Emitted]:
    """Store a batch and its last cursor. Returns its signals; repeated events are not fresh.

    Callers for one installation that come while a commit is under way share the next one (`GroupCommit`).
    Raises Superseded, and stores nothing, when the installation was changed, disabled or removed meanwhile.
    The caller acknowledges the last cursor afterwards, never before.
    """
    groups = _GROUPS.setdefault(tenancy, {})
    key = (source.tenant, source.installation_id, source.generation, id(registry))
    group = groups.setdefault(key, _new_group(tenancy, registry))
    try:
        return await group.join(_Asked(source, batch), len(batch))
    finally:
        if group.is_idle and groups.get(key) is group:
            del groups[key]


def _new_group(tenancy: Tenancy, registry: Registry) -> Group:
    async def commit(asked: Sequence[_Asked]) -> list[list[Emitted]]:
        return await _store(tenancy, registry, asked)

    return GroupCommit(commit, lambda error: isinstance(error, Superseded) or is_away(error), GROUP)


async def _store(tenancy: Tenancy, registry: Registry, asked: Sequence[_Asked]) -> list[list[Emitted]]:
    """One transaction for all of one installation's; each one's signals."""
    source = asked[-1].source
    told = [(one.source, event) for one in asked for event in one.batch]
    async with tenancy.session(source.tenant) as session:
        batch = (source.batch or ChatBatch)(session, registry, source.installation_id)
        emitted = await batch.store(told)
        await save_cursor(session, source, asked[-1].batch[-1].cursor)
        faults.reach("ingest.before_commit")
    faults.reach("ingest.committed")
    signals = iter(emitted)
    of_each = [[next(signals) for _ in one.batch] for one in asked]
    return [[signal for signal in own if signal is not None] for own in of_each]


class ChatBatch:
    """Messages of a chat: what is known, what changes."""

    def __init__(self, session: TenantSession, registry: Registry, installation_id: UUID) -> None:
        self.session = session
        self.registry = registry
        self.installation_id = installation_id
        self.conversations: dict[ConversationKey, UUID] = {}
        self.known: dict[str, Projected] = {}
        self.is_awaited = False
        self.ids: dict[str, UUID] = {}
        self.changed: dict[str, Projected] = {}
        self.gone: list[UUID] = []

    async def store(self, told: Sequence[Told]) -> list[Emitted | None]:
        await self._find([event for _, event in told if _is_projected(event)])
        waiting = await pasted.awaited(self.session, self.installation_id) if self.is_awaited else ()
        told, taken = pasted.cleaned(told, waiting, self.conversations, self.known)
        emitted = await self._tell(told)
        for (_, event), signal in zip(told, emitted, strict=True):
            self._project(event, signal)
        await save_messages(self.session, self.installation_id, list(self.changed.values()))
        for conversation_id in self.gone:
            await mark_thread_deleted(self.session, conversation_id)
        if taken:
            await revoking.tell(self.session, self.registry, self.installation_id, taken, emitted)
        return emitted

    async def _tell(self, told: Sequence[Told]) -> list[Emitted | None]:
        """The signal of each event; None for our own posts, which are told by the directive that made them."""
        news = [self._signal(*one) for one in told if one[1].author.kind is not AuthorKind.SELF]
        emitted = iter(await emit_many(self.session, self.registry, news))
        return [None if event.author.kind is AuthorKind.SELF else next(emitted) for _, event in told]

    async def _find(self, messages: Sequence[Inbound]) -> None:
        if not messages:
            return
        places = {conversation_key(event.place, event.external_id): event.place for event in messages}
        self.conversations = await find_conversations(self.session, self.installation_id, places)
        # In order: ids rise, and they order the messages of one millisecond.
        external_ids = list(dict.fromkeys(event.external_id for event in messages))
        found = await pasted.known_and_awaited(self.session, self.installation_id, external_ids)
        self.known, self.is_awaited = found
        self.ids = {one: self.known[one].id if one in self.known else new_id() for one in external_ids}

    def _project(self, event: Inbound, signal: Emitted | None) -> None:
        """Let the projection follow what is news; of our own posts there is no signal."""
        is_old = signal is not None and not signal.fresh
        if is_old or not _is_projected(event):
            return
        before = self.known.get(event.external_id)
        if event.kind is EventKind.DELETED:
            self._take_back(event, before)
            return
        if before is not None and (event.kind is EventKind.MESSAGE or before.deleted):
            return  # its newest wording is there already, and a late edit brings nothing back
        message = before or self._new_message(event, signal)
        message.text, message.edited = clean_text(event.text), event.kind is EventKind.EDITED
        self.known[event.external_id] = self.changed[event.external_id] = message

    def _take_back(self, event: Inbound, before: Projected | None) -> None:
        key = conversation_key(event.place, event.external_id)
        if key[1] == event.external_id:
            self.gone.append(self.conversations[key])
        if before is not None:
            before.text, before.deleted = "", True
            self.changed[event.external_id] = before

    def _new_message(self, event: Inbound, signal: Emitted | None) -> Projected:
        return Projected(
            id=self.ids[event.external_id],
            conversation_id=self.conversations[conversation_key(event.place, event.external_id)],
            external_id=event.external_id,
            author_kind=event.author.kind.value,
            author_id=event.author.id,
            author_name=clean_text(event.author.name),
            text="",
            sent_at_ms=event.sent_at_ms,
            signal_id=signal.id if signal is not None else None,
        )

    def _signal(self, source: Source, event: Inbound) -> NewSignal:
        message_id = conversation_id = None
        if _is_projected(event):
            message_id = self.ids[event.external_id]
            conversation_id = self.conversations[conversation_key(event.place, event.external_id)]
        return NewSignal(
            OF_EVENT[event.kind],
            clean_object(_payload(source, event, conversation_id, message_id)),
            Actor(ACTOR_OF[event.author.kind], event.author.id, clean_text(event.author.name)),
            dedupe_key=f"{self.installation_id}:{event.event_key}",
            installation_id=self.installation_id,
            conversation_id=conversation_id,
            raw=event.raw,
            lane=None if conversation_id is None else f"conversation:{conversation_id}",
            position=event.sent_at_ms,
        )


def _is_projected(event: Inbound) -> bool:
    """System messages quote others and answer nobody: they are facts, but no part of a conversation."""
    return event.kind in ABOUT_MESSAGES and event.author.kind is not AuthorKind.SYSTEM


def _payload(
    source: Source, event: Inbound, conversation_id: UUID | None, message_id: UUID | None
) -> dict[str, Any]:
    author, place = event.author, event.place
    return {
        "installation_id": str(source.installation_id),
        "package": source.package,
        "conversation_id": None if conversation_id is None else str(conversation_id),
        "message_id": None if message_id is None else str(message_id),
        "external_id": event.external_id,
        "kind": event.kind.value,
        "author": {"id": author.id, "kind": author.kind.value, "name": author.name},
        "place": {
            "channel_id": place.channel_id,
            "channel_kind": place.channel_kind,
            "channel_name": place.channel_name,
            "thread_id": place.thread_id,
        },
        "text": event.text,
        "request": source.request(event.text),
        "addressed": event.addressed,
        "mentions_us": event.mentions_us,
        "allowed_automation": _is_allowed(source, event),
        "sent_at_ms": event.sent_at_ms,
        "caught_up": event.caught_up,
        "rewritten": event.rewritten,
    }


def _is_allowed(source: Source, event: Inbound) -> bool:
    """Ids, and account names by the server's own record; a webhook's name is whatever its caller says."""
    author = event.author
    if author.kind is AuthorKind.BOT:
        return author.id in source.allowed_bots or author.name in source.allowed_bots
    return author.kind is AuthorKind.WEBHOOK and author.id in source.allowed_bots


async def save_cursor(session: TenantSession, source: Source, cursor: Cursor) -> None:
    """Note how far was read. Raises Superseded when it is no longer ours to note."""
    values = {"id": source.installation_id, "generation": source.generation, "cursor": cursor}
    if not await session.fetch(_SAVE_CURSOR, values):
        raise Superseded("The installation was changed meanwhile.", "Its listener starts again.")

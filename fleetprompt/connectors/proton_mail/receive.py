"""Turn mails into stored facts: their raw bytes, conversations, messages and signals in one transaction.

A mail that is known already (the same in another folder, or under another UID) changes nothing, also when its retention
is over: its key is kept for good, for a mailbox that is rebuilt after quiet weeks tells its last week anew. What stands in Sent is
projected, when it belongs to a conversation of ours, and told by nobody.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from adapters.contract import AuthorKind, Place
from adapters.proton_mail import Mail, MailReceived
from fleetprompt.connectors import revoking
from fleetprompt.connectors.conversations import (
    ConversationKey,
    Projected,
    find_conversations,
    known_messages,
    save_messages,
)
from fleetprompt.connectors.ingest import Told
from fleetprompt.connectors.pasted import Taken
from fleetprompt.connectors.proton_mail import names, raw
from fleetprompt.connectors.proton_mail.payload import actor_kind, name_of, placed
from fleetprompt.connectors.proton_mail.ready import ReadyMail, ready
from fleetprompt.connectors.proton_mail.settings import addresses_in
from fleetprompt.connectors.proton_mail.threads import Found, Threads
from fleetprompt.database.driver import Sql
from fleetprompt.kernel.ids import new_id
from fleetprompt.kernel.json import clean_text
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import Actor, Emitted, NewSignal, emit_many
from fleetprompt.tenancy import TenantSession

# Arrays, so that a statement is prepared once, however many mails there are.
# Each is looked for by itself: of a table that grew quickly Postgres knows too little, and reads all of it for a hundred.
_KNOWN = Sql("""
select k.key, there.is_kept from unnest(cast(:keys as text[])) as k (key)
cross join lateral (
    select true as is_kept from signals where dedupe_key = k.key
    union all select false from mail_known where digest = sha256(convert_to(k.key, 'UTF8'))
    limit 1
) there
""")
_CONFIG = Sql("select config::text from installations where id = :id")


@dataclass(frozen=True, slots=True)
class _Placed:
    """Where a mail belongs: the conversation (None: no part of any), by what, and the message that it becomes."""

    conversation_id: UUID | None = None
    found: Found | None = None
    message_id: UUID | None = None

    def renamed(self, ids: Mapping[UUID, UUID]) -> _Placed:
        """With other ids of conversations."""
        if self.conversation_id is None or self.conversation_id not in ids:
            return self
        conversation_id = ids[self.conversation_id]
        found = None if self.found is None else Found(conversation_id, self.found.by)
        return _Placed(conversation_id, found, self.message_id)


class MailBatch:
    """One transaction's mails of one installation."""

    def __init__(self, session: TenantSession, registry: Registry, installation_id: UUID) -> None:
        self._session = session
        self._registry = registry
        self._installation_id = installation_id
        self._threads = Threads()
        self._begun: dict[ConversationKey, tuple[Place, UUID]] = {}
        self._own: frozenset[str] = frozenset()

    async def store(self, told: Sequence[Told]) -> list[Emitted | None]:
        """The signal of each mail; None for what stands in Sent, and for a mail whose fact is not kept any more."""
        mails = [ready(source, event) for source, event in told]
        known = await self._known(mails)
        gone = {key for key, is_kept in known.items() if not is_kept}
        here = [one for one in mails if self._key(one) not in gone]
        stored = iter(await self._store(here, known.keys() - gone) if here else [])
        return [None if self._key(one) in gone else next(stored) for one in mails]

    async def _store(self, mails: Sequence[ReadyMail], there: Collection[str]) -> list[Emitted | None]:
        """there: the keys of those that are stored already."""
        known = set(there)
        read = [event.mail for event in mails if event.mail is not None and self._key(event) not in known]
        self._threads = await Threads.read(self._session, self._installation_id, read)
        configs = await self._session.fetch(_CONFIG, {"id": self._installation_id})
        self._own = addresses_in(json.loads(row[0]) for row in configs)
        places: list[_Placed] = []
        for event in mails:
            places.append(_Placed() if self._key(event) in known else self._place(event))
            known.add(self._key(event))
        places = await self._begin_conversations(places)
        news = [
            self._signal(event, place)
            for event, place in zip(mails, places, strict=True)
            if event.author.kind is not AuthorKind.SELF
        ]
        emitted = iter(await emit_many(self._session, self._registry, news))
        told_of = [None if event.author.kind is AuthorKind.SELF else next(emitted) for event in mails]
        await self._keep(mails, places, told_of)
        await self._tell_of_secrets(mails, places, told_of)
        return told_of

    async def _tell_of_secrets(
        self, mails: Sequence[ReadyMail], places: Sequence[_Placed], told_of: Sequence[Emitted | None]
    ) -> None:
        """Whoever wrote the mail is told nothing by a machine."""
        taken = [
            Taken(number, event, event.kinds, place.conversation_id)
            for number, (event, place) in enumerate(zip(mails, places, strict=True))
            if event.kinds and event.author.kind is not AuthorKind.SELF
        ]
        if taken:
            await revoking.tell(
                self._session, self._registry, self._installation_id, taken, told_of, advise=False
            )

    def _key(self, event: MailReceived) -> str:
        return f"{self._installation_id}:{event.event_key}"

    async def _known(self, events: Sequence[MailReceived]) -> dict[str, bool]:
        """The keys of mails that were told before, and whether their fact is still there."""
        rows = await self._session.fetch(_KNOWN, {"keys": [self._key(one) for one in events]})
        return {row[0]: row[1] for row in rows}

    def _place(self, event: MailReceived) -> _Placed:
        """What is set aside, and what a mailer says of a mail, is a fact but no part of a conversation."""
        mail, kind = event.mail, event.author.kind
        if mail is None or event.quarantine is not None or kind is AuthorKind.SYSTEM:
            return _Placed()
        is_ours = kind is AuthorKind.SELF
        if is_ours and self._threads.knows(mail):
            return _Placed()
        found = self._threads.find(mail, is_ours=is_ours)
        if found is None and is_ours:
            return _Placed()
        conversation_id = found.conversation_id if found is not None else self._new_conversation(event)
        self._threads.learn(mail, conversation_id, _taking_part(mail, self._own))
        return _Placed(conversation_id, found, new_id())

    def _new_conversation(self, event: MailReceived) -> UUID:
        """Its id for the time being: all that a batch begins are made at once."""
        key = (names.fit(event.place.channel_id), names.fit(event.event_key))
        place = Place(key[0], event.place.channel_kind, key[1], clean_text(event.place.channel_name))
        return self._begun.setdefault(key, (place, new_id()))[1]

    async def _begin_conversations(self, places: list[_Placed]) -> list[_Placed]:
        """The same with the ids that hold: one may be there already, of a mail whose fact is not kept any more."""
        if not self._begun:
            return places
        begun = {key: place for key, (place, _) in self._begun.items()}
        there = await find_conversations(self._session, self._installation_id, begun)
        ids = {new: there[key] for key, (_, new) in self._begun.items()}
        self._threads.rename(ids)
        return [one.renamed(ids) for one in places]

    def _signal(self, event: ReadyMail, place: _Placed) -> NewSignal:
        author, conversation_id = event.author, place.conversation_id
        return NewSignal(
            name_of(event),
            {**event.fact, **placed(conversation_id, place.message_id, place.found)},
            Actor(actor_kind(author.kind), clean_text(author.id), clean_text(author.name)),
            dedupe_key=self._key(event),
            installation_id=self._installation_id,
            conversation_id=conversation_id,
            lane=None if conversation_id is None else f"conversation:{conversation_id}",
            position=event.sent_at_ms,
        )

    async def _keep(
        self,
        mails: Sequence[ReadyMail],
        places: Sequence[_Placed],
        told: Sequence[Emitted | None],
    ) -> None:
        fresh = [
            (event, place, signal)
            for event, place, signal in zip(mails, places, told, strict=True)
            if signal is None or signal.fresh
        ]
        await raw.save(self._session, [(signal.id, event.raw) for event, _, signal in fresh if signal])
        await self._threads.save(self._session, self._installation_id)
        await self._project(fresh)

    async def _project(self, fresh: Sequence[tuple[ReadyMail, _Placed, Emitted | None]]) -> None:
        """A Message-ID that stands for another mail already does not stand for this one too."""
        there = [one for one in fresh if one[1].message_id is not None]
        ids = [names.fit(event.external_id) for event, _, _ in there]
        taken = set(await known_messages(self._session, self._installation_id, ids)) if ids else set()
        messages = []
        for (event, place, signal), external_id in zip(there, ids, strict=True):
            own_id = names.fit(event.event_key) if external_id in taken else external_id
            taken.add(external_id)
            messages.append(_projected(event, place, own_id, signal))
        await save_messages(self._session, self._installation_id, messages)


def _projected(event: ReadyMail, place: _Placed, external_id: str, signal: Emitted | None) -> Projected:
    assert place.message_id is not None
    assert place.conversation_id is not None
    is_in_fact = signal is not None and event.is_said_in_fact
    return Projected(
        id=place.message_id,
        conversation_id=place.conversation_id,
        external_id=external_id,
        author_kind=event.author.kind.value,
        author_id=clean_text(event.author.id),
        author_name=clean_text(event.author.name),
        text="" if is_in_fact else event.said,
        sent_at_ms=event.sent_at_ms,
        signal_id=signal.id if signal is not None else None,
        said_in_fact=is_in_fact,
    )


def _taking_part(mail: Mail, own: Collection[str]) -> list[str]:
    """Who wrote it and who got it, where answers go included; we are not among them."""
    named = (*mail.senders, *mail.to, *mail.cc, *mail.reply_to)
    return list(dict.fromkeys(one.address for one in named if one.address and one.address not in own))

"""To which conversation a mail belongs.

Own Message-IDs in In-Reply-To or References, then the others of the thread, Proton's ids, our token in the subject or in
a plus-address; all of them anybody can write, so the sender has to take part in that conversation already. All inside
the tenant, and one installation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from adapters.proton_mail import Mail
from fleetprompt.connectors.proton_mail import names
from fleetprompt.database.driver import Sql
from fleetprompt.tenancy import TenantSession

# Arrays, so that a statement is prepared once, however many mails there are.
_NAMED = Sql(
    "select name, conversation_id, directive_id from mail_names"
    " where installation_id = :installation_id and name = any(:names)"
)
_PARTICIPANTS = Sql(
    "select conversation_id, address from mail_participants where conversation_id = any(:conversations)"
)
_SAVE_NAMES = Sql("""
insert into mail_names (installation_id, name, conversation_id, directive_id)
select :installation_id, name, conversation_id, directive_id
from unnest(cast(:names as text[]), cast(:conversations as uuid[]), cast(:directives as uuid[]))
    as new (name, conversation_id, directive_id) order by name
on conflict (installation_id, name) do update set directive_id = excluded.directive_id
    where mail_names.directive_id is null and excluded.directive_id is not null
    and mail_names.conversation_id = excluded.conversation_id
""")
_SAVE_PARTICIPANTS = Sql("""
insert into mail_participants (conversation_id, address)
select distinct conversation_id, address
from unnest(cast(:conversations as uuid[]), cast(:addresses as text[])) as new (conversation_id, address)
order by conversation_id, address on conflict do nothing
""")


@dataclass(frozen=True, slots=True)
class Found:
    """A conversation, and by what it was found."""

    conversation_id: UUID
    by: str


@dataclass(slots=True)
class Threads:
    """The conversations that a batch of mails may belong to; it learns from each mail."""

    named: dict[str, UUID] = field(default_factory=dict)
    ours: set[str] = field(default_factory=set)
    participants: dict[UUID, set[str]] = field(default_factory=dict)
    new_names: dict[str, tuple[UUID, UUID | None]] = field(default_factory=dict)
    new_participants: dict[tuple[UUID, str], None] = field(default_factory=dict)

    @classmethod
    async def read(cls, session: TenantSession, installation_id: UUID, mails: Iterable[Mail]) -> Threads:
        """Everything that these mails refer to."""
        threads = cls()
        wanted = {name for mail in mails for _, found in _referred(mail) for name in found}
        wanted |= {name for mail in mails for name in names.own_names(mail)}
        if not wanted:
            return threads
        values = {"installation_id": installation_id, "names": list(wanted)}
        for name, conversation_id, directive_id in await session.fetch(_NAMED, values):
            threads.named[name] = conversation_id
            if directive_id is not None:
                threads.ours.add(name)
        await threads._read_participants(session)
        return threads

    async def _read_participants(self, session: TenantSession) -> None:
        if not self.named:
            return
        values = {"conversations": list(set(self.named.values()))}
        for conversation_id, address in await session.fetch(_PARTICIPANTS, values):
            self.participants.setdefault(conversation_id, set()).add(address)

    def find(self, mail: Mail, *, is_ours: bool = False) -> Found | None:
        """None: it begins a conversation. is_ours: it was sent from the account, so that nobody has to take part."""
        for by, found in self._in_order(mail):
            for name in found:
                conversation_id = self.named.get(name)
                if conversation_id is None:
                    continue
                if is_ours or mail.sender.address in self.participants.get(conversation_id, ()):
                    return Found(conversation_id, by)
        return None

    def knows(self, mail: Mail) -> bool:
        """Whether this very mail is in a conversation already, as what a directive of ours sent or otherwise."""
        return any(name in self.named for name in names.own_names(mail))

    def learn(self, mail: Mail, conversation_id: UUID, addresses: Iterable[str]) -> None:
        """From now on the mail's names stand for the conversation, and these take part."""
        for name in names.own_names(mail):
            if name not in self.named:
                self.named[name] = conversation_id
                self.new_names[name] = (conversation_id, None)
        known = self.participants.setdefault(conversation_id, set())
        for address in addresses:
            if address not in known:
                known.add(address)
                self.new_participants[conversation_id, address] = None

    def rename(self, ids: Mapping[UUID, UUID]) -> None:
        """Conversations have other ids than was said when they were learnt."""
        self.named = {name: ids.get(one, one) for name, one in self.named.items()}
        self.participants = {ids.get(one, one): found for one, found in self.participants.items()}
        self.new_names = {name: (ids.get(one, one), by) for name, (one, by) in self.new_names.items()}
        self.new_participants = {(ids.get(one, one), who): None for one, who in self.new_participants}

    async def save(self, session: TenantSession, installation_id: UUID) -> None:
        """What was learnt."""
        await save_names(session, installation_id, self.new_names)
        await save_participants(session, list(self.new_participants))

    def _in_order(self, mail: Mail) -> Iterator[tuple[str, list[str]]]:
        for by, found in _referred(mail):
            if by == "message_id":
                yield "own_message_id", [name for name in found if name in self.ours]
            yield by, found


def _referred(mail: Mail) -> list[tuple[str, list[str]]]:
    return [
        ("message_id", names.referred(mail)),
        ("internal_id", names.referred_internally(mail)),
        ("token", names.tokens(mail)),
    ]


async def save_names(
    session: TenantSession, installation_id: UUID, new: Mapping[str, tuple[UUID, UUID | None]]
) -> None:
    """name -> (conversation, the directive whose mail it is). The first that has a name keeps it."""
    if new:
        columns = {
            "names": list(new),
            "conversations": [conversation for conversation, _ in new.values()],
            "directives": [directive for _, directive in new.values()],
        }
        await session.fetch(_SAVE_NAMES, {"installation_id": installation_id, **columns})


async def save_participants(session: TenantSession, new: Sequence[tuple[UUID, str]]) -> None:
    """(conversation, address)."""
    if new:
        columns = {"conversations": [one for one, _ in new], "addresses": [address for _, address in new]}
        await session.fetch(_SAVE_PARTICIPANTS, columns)

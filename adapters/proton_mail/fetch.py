"""Fetching a batch's mails, also around one at which the far side breaks down each time.

A fault while a batch is fetched says that one of its mails may be the cause: on the next connection they are fetched one
by one. A mail at which a connection that is fine otherwise (login, folder, the mail's own envelope) broke FETCH_TRIES
times in a row, or that was refused as often, is set aside. A server that is down never gets so far as to be asked for it;
one that lives and gives nothing at all is told by this: for each mail set aside since the last one given, the tries double.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Final

from adapters.errors import FarSideFailed, Passing
from adapters.proton_mail.imap import ImapConnection, RefusedByServer, Selected
from adapters.proton_mail.imap_words import Envelope
from adapters.proton_mail.mail import Quarantine
from adapters.proton_mail.normalise import Fetched

BEGINNING_BYTES: Final = 64 * 1024
FETCH_TRIES: Final = 3
MOST_DOUBLED: Final = 4  # 48 tries, a quarter of an hour by the default pace
NOT_GIVEN: Final = Quarantine("not_given", "The server does not give it.")

Item = tuple[Fetched, Quarantine | None]
"""A mail, and why it was set aside before it was read."""
Key = tuple[str, int, int]
"""Folder, UIDVALIDITY, UID."""


class Fetcher:
    """Remembers from one connection to the next which mails are suspected."""

    def __init__(self, mail_bytes: int) -> None:
        self._mail_bytes = mail_bytes
        self._faults: Counter[Key] = Counter()
        self._suspected: frozenset[Key] = frozenset()
        self._in_a_row = 0  # set aside since a mail was given

    async def fetch(
        self, connection: ImapConnection, folder: str, selected: Selected, batch: Sequence[Envelope]
    ) -> deque[Item]:
        """The batch's mails in order, without what was expunged. Raises what breaks the connection."""
        keys = {one.uid: (folder, selected.uid_validity, one.uid) for one in batch}
        short = [one.uid for one in batch if one.size_bytes <= self._mail_bytes]
        together = [uid for uid in short if not self.suspects(keys[uid])]
        bodies = await self._together(connection, together, keys)
        found: deque[Item] = deque()
        for one in batch:
            if one.uid in bodies:
                raw, why = bodies.pop(one.uid), None
            elif await connection.envelopes([one.uid]):
                raw, why = await self._by_itself(connection, one, keys[one.uid])
            else:
                continue  # expunged meanwhile
            found.append((Fetched(*keys[one.uid], one.received_at_ms, raw, one.size_bytes), why))
        return found

    def suspects(self, key: Key) -> bool:
        """Whether it is fetched by itself; it had better be a batch by itself, so that what was before it is told."""
        return key in self._suspected or key in self._faults

    async def _together(
        self, connection: ImapConnection, uids: Sequence[int], keys: Mapping[int, Key]
    ) -> dict[int, bytes]:
        """Those that were given."""
        try:
            bodies = await connection.fetch(uids) if uids else {}
        except RefusedByServer:  # one of them is broken on the far side; the connection is as good as before
            self._suspected = frozenset(keys[uid] for uid in uids)
            return {}
        except Passing:
            self._suspected = frozenset(keys[uid] for uid in uids)
            if len(uids) == 1:
                self._faults[keys[uids[0]]] += 1
            raise
        if bodies:
            self._in_a_row = 0
        return bodies

    async def _by_itself(
        self, connection: ImapConnection, one: Envelope, key: Key
    ) -> tuple[bytes, Quarantine | None]:
        """(its bytes, why it is set aside). Raises until it broke often enough."""
        if self._faults[key] >= FETCH_TRIES << min(self._in_a_row, MOST_DOUBLED):
            self._in_a_row += 1
            del self._faults[key]
            return b"", NOT_GIVEN
        try:
            given = await self._given(connection, one)
        except (Passing, KeyError) as error:
            self._faults[key] += 1
            if isinstance(error, KeyError):
                raise FarSideFailed("imap: a mail is listed and not given") from error
            raise
        del self._faults[key]
        self._in_a_row = 0
        return given

    async def _given(self, connection: ImapConnection, one: Envelope) -> tuple[bytes, Quarantine | None]:
        if one.size_bytes <= self._mail_bytes:
            return (await connection.fetch([one.uid]))[one.uid], None
        too_long = Quarantine("too_long", f"It has {one.size_bytes} bytes, more than mails are read.")
        return await connection.fetch_beginning(one.uid, BEGINNING_BYTES), too_long

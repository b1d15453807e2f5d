"""Fetching a batch's mails, also around one at which the far side breaks down each time.

A fault while a batch is fetched says that one of its mails may be the cause: on the next connection they are fetched one
by one. A mail at which a connection that is fine otherwise (login, folder, the mail's own envelope) broke FETCH_TRIES
times in a row is set aside, but never before `give_up_s`, so that a hiccup costs no mail; one that is refused while
another is given, after `give_up_refused_s`. Until then reading waits. A server that is down never gets so far as to be
asked for it; one that lives and gives nothing at all is told by this: for each mail set aside since the last one given,
tries and time double.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from adapters.errors import FarSideFailed, Passing
from adapters.proton_mail.imap import ImapConnection, RefusedByServer, Selected
from adapters.proton_mail.imap_words import Envelope
from adapters.proton_mail.mail import Quarantine
from adapters.proton_mail.normalise import Fetched
from adapters.proton_mail.settings import Pace

BEGINNING_BYTES: Final = 64 * 1024
FETCH_TRIES: Final = 3
MOST_DOUBLED: Final = 4  # 48 tries, 160 minutes by the default pace
OTHERS_ASKED: Final = 3  # beside one that is refused: of them some may be broken, too
NOT_GIVEN: Final = Quarantine("not_given", "The server does not give it.")

Item = tuple[Fetched, Quarantine | None]
"""A mail, and why it was set aside before it was read."""
Key = tuple[str, int, int]
"""Folder, UIDVALIDITY, UID."""


@dataclass(slots=True)
class _Faults:
    """Of one mail. first_s: of the loop's clock. alone_s: since when it alone is refused; None: it is not that."""

    first_s: float
    tries: int = 0
    alone_s: float | None = None


class Fetcher:
    """Remembers from one connection to the next which mails are suspected."""

    def __init__(self, mail_bytes: int, pace: Pace) -> None:
        self._mail_bytes = mail_bytes
        self._pace = pace
        self._faults: dict[Key, _Faults] = {}
        self._suspected: frozenset[Key] = frozenset()
        self._in_a_row = 0  # set aside since a mail was given

    async def fetch(
        self,
        connection: ImapConnection,
        folder: str,
        selected: Selected,
        batch: Sequence[Envelope],
        listed: Sequence[Envelope] = (),
    ) -> deque[Item]:
        """The batch's mails in order, without what was expunged. Raises what breaks the connection.

        listed: of the same folder, also behind the batch: some are asked for beside a mail that is refused.
        """
        keys = {one.uid: (folder, selected.uid_validity, one.uid) for one in batch}
        short = [one.uid for one in batch if one.size_bytes <= self._mail_bytes]
        together = [uid for uid in short if not self.suspects(keys[uid])]
        bodies = await self._together(connection, together, keys)
        found: deque[Item] = deque()
        for one in batch:
            if one.uid in bodies:
                raw, why = bodies.pop(one.uid), None
            elif await connection.envelopes([one.uid]):
                raw, why = await self._by_itself(connection, one, keys[one.uid], listed)
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
                self._failed(keys[uids[0]])
            raise
        if bodies:
            self._in_a_row = 0
        return bodies

    async def _by_itself(
        self, connection: ImapConnection, one: Envelope, key: Key, listed: Sequence[Envelope]
    ) -> tuple[bytes, Quarantine | None]:
        """(its bytes, why it is set aside). Raises until it broke often and long enough."""
        if self._is_given_up(key):
            self._in_a_row += 1
            del self._faults[key]
            return b"", NOT_GIVEN
        try:
            given = await self._given(connection, one)
        except RefusedByServer:
            self._failed(key, alone=await self._is_another_given(connection, key, listed))
            raise
        except (Passing, KeyError) as error:
            self._failed(key)
            if isinstance(error, KeyError):
                raise FarSideFailed("imap: a mail is listed and not given") from error
            raise
        self._faults.pop(key, None)
        self._in_a_row = 0
        return given

    def _is_given_up(self, key: Key) -> bool:
        faults = self._faults.get(key)
        doubled = 1 << min(self._in_a_row, MOST_DOUBLED)
        if faults is None or faults.tries < FETCH_TRIES * doubled:
            return False
        now_s = asyncio.get_running_loop().time()
        if faults.alone_s is not None and now_s - faults.alone_s >= self._pace.give_up_refused_s:
            return True
        return now_s - faults.first_s >= self._pace.give_up_s * doubled

    def _failed(self, key: Key, *, alone: bool = False) -> None:
        now_s = asyncio.get_running_loop().time()
        faults = self._faults.setdefault(key, _Faults(now_s))
        faults.tries += 1
        if not alone:
            faults.alone_s = None
        elif faults.alone_s is None:
            faults.alone_s = now_s

    async def _is_another_given(
        self, connection: ImapConnection, refused: Key, listed: Sequence[Envelope]
    ) -> bool:
        """Whether it is this mail and not the server: the newest are asked for, which it hardly has at hand already."""
        others = [one.uid for one in reversed(listed) if (*refused[:2], one.uid) not in self._faults]
        for uid in [uid for uid in others if uid != refused[2]][:OTHERS_ASKED]:
            try:
                with suppress(RefusedByServer, KeyError):
                    await connection.fetch_beginning(uid, 1)
                    self._in_a_row = 0
                    return True
            except Passing:
                return False  # whoever asks next is told that the connection broke
        return False

    async def _given(self, connection: ImapConnection, one: Envelope) -> tuple[bytes, Quarantine | None]:
        if one.size_bytes <= self._mail_bytes:
            return (await connection.fetch([one.uid]))[one.uid], None
        too_long = Quarantine("too_long", f"It has {one.size_bytes} bytes, more than mails are read.")
        return await connection.fetch_beginning(one.uid, BEGINNING_BYTES), too_long

"""The commands of one IMAP connection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from fleetprompt.sandbox.mailbox.imap_fetch import chosen, fetched, highest_uid, search
from fleetprompt.sandbox.mailbox.imap_parse import BadCommand, Refusal, in_set, quoted, words
from fleetprompt.sandbox.mailbox.records import Account, Entry, Folder

if TYPE_CHECKING:
    from fleetprompt.sandbox.mailbox.imap_server import ImapConnection

POLL_S: Final = 0.5
CHUNK: Final = 1 << 16


class ImapCommands:
    """What one client may do, by its state: not logged in, logged in, a folder selected."""

    def __init__(self, connection: ImapConnection) -> None:
        self._connection = connection
        self._mailbox = connection.mailbox
        self._account: Account | None = None
        self._folder: Folder | None = None
        self._told = 0
        self.is_over = False

    async def carry_out(self, tag: bytes, rest: bytes) -> None:
        """Answer one command. Raises BadCommand."""
        arguments = words(rest)
        name = arguments.pop(0).upper() if arguments else ""
        by_uid = name == "UID"
        if by_uid:
            name = arguments.pop(0).upper()
        if name in ("SEARCH", "FETCH", "MOVE", "STORE"):
            await self._over_mails(name, arguments, by_uid=by_uid)
            await self._ok(tag, f"{name} completed")
            return
        command: Callable[[bytes, list[str]], Awaitable[None]] | None = getattr(
            self, f"_do_{name.lower()}", None
        )
        if command is None:
            raise BadCommand(f"unknown command {name}")
        await command(tag, arguments)

    async def _ok(self, tag: bytes, text: str) -> None:
        await self._connection.write(tag + b" OK " + text.encode() + b"\r\n")

    async def _no(self, tag: bytes, text: str) -> None:
        await self._connection.write(tag + b" NO " + text.encode() + b"\r\n")

    async def _tell(self, line: str) -> None:
        await self._connection.write(b"* " + line.encode() + b"\r\n")

    async def _do_capability(self, tag: bytes, arguments: list[str]) -> None:
        await self._tell("CAPABILITY " + self._connection.capabilities().decode())
        await self._ok(tag, "CAPABILITY")

    async def _do_id(self, tag: bytes, arguments: list[str]) -> None:
        await self._tell('ID ("name" "gluon" "version" "3.21.2" "vendor" "Proton AG")')
        await self._ok(tag, "ID")

    async def _do_noop(self, tag: bytes, arguments: list[str]) -> None:
        await self._tell_news()
        await self._ok(tag, "NOOP")

    async def _do_logout(self, tag: bytes, arguments: list[str]) -> None:
        self.is_over = True
        await self._tell("BYE")
        await self._ok(tag, "LOGOUT")

    async def _do_starttls(self, tag: bytes, arguments: list[str]) -> None:
        connection = self._connection
        if connection.is_encrypted or not connection.offers_starttls:
            raise BadCommand("no TLS now")
        if self._mailbox.faults.take("imap_refuse_starttls"):
            await self._no(tag, "TLS is not available")
            return
        await connection.start_tls(tag)

    async def _do_login(self, tag: bytes, arguments: list[str]) -> None:
        self._account = self._mailbox.log_in(arguments[0], arguments[1])
        if self._account is None:
            await self._no(tag, "[AUTHENTICATIONFAILED] no such user")
            return
        await self._ok(tag, f"[CAPABILITY {self._connection.capabilities().decode()}] Logged in")

    async def _do_list(self, tag: bytes, arguments: list[str]) -> None:
        for name in self._in().folders:
            await self._tell(f'LIST (\\Unmarked) "/" {quoted(name)}')
        await self._ok(tag, "LIST")

    async def _do_status(self, tag: bytes, arguments: list[str]) -> None:
        folder = self._named(arguments[0])
        if folder is None:
            await self._no(tag, "no such mailbox")
            return
        await self._tell(
            f"STATUS {quoted(folder.name)} (MESSAGES {len(folder.entries)} "
            f"UIDNEXT {folder.uid_next} UIDVALIDITY {folder.uid_validity})"
        )
        await self._ok(tag, "STATUS")

    async def _do_select(self, tag: bytes, arguments: list[str]) -> None:
        await self._select(tag, arguments, "[READ-WRITE] SELECT")

    async def _do_examine(self, tag: bytes, arguments: list[str]) -> None:
        await self._select(tag, arguments, "[READ-ONLY] EXAMINE")

    async def _select(self, tag: bytes, arguments: list[str], answer: str) -> None:
        if self._mailbox.faults.take("imap_cut_in_select"):
            self._connection.cut()
        if self._mailbox.faults.take("imap_hole_in_select"):
            await self._connection.vanish()
        self._folder = self._named(arguments[0])
        if self._folder is None:
            await self._no(tag, "no such mailbox")
            return
        self._told = len(self._folder.entries)
        await self._tell("FLAGS (\\Deleted \\Flagged \\Seen)")
        await self._tell(f"{self._told} EXISTS")
        await self._tell("0 RECENT")
        await self._tell(f"OK [UIDVALIDITY {self._folder.uid_validity}]")
        await self._tell(f"OK [UIDNEXT {self._folder.uid_next}]")
        await self._ok(tag, answer)

    async def _do_unselect(self, tag: bytes, arguments: list[str]) -> None:
        self._folder = None
        await self._ok(tag, "UNSELECT")

    async def _do_idle(self, tag: bytes, arguments: list[str]) -> None:
        if not self._connection.offers_idle:
            raise BadCommand("IDLE is not offered")
        self._selected()
        if self._mailbox.faults.take("imap_withdraw_idle"):
            self._connection.offers_idle = False
            raise Refusal("IDLE is switched off")
        await self._connection.write(b"+ Ready\r\n")
        await self._idle_faults()
        done = asyncio.create_task(self._connection.read_line())
        try:
            while not done.done():
                await self._tell_news()
                news = asyncio.create_task(self._mailbox.news.wait())
                await asyncio.wait({done, news}, timeout=POLL_S, return_when=asyncio.FIRST_COMPLETED)
                news.cancel()
                if not done.done():
                    await self._idle_faults()
        finally:
            done.cancel()
        await self._ok(tag, "IDLE")

    async def _idle_faults(self) -> None:
        if self._mailbox.faults.take("imap_cut_in_idle"):
            self._connection.cut()
        if self._mailbox.faults.take("imap_bye_in_idle"):
            await self._tell("BYE shutting down")
            raise EOFError
        if self._mailbox.faults.take("imap_hole_in_idle"):
            await self._connection.vanish()

    async def _over_mails(self, name: str, arguments: list[str], *, by_uid: bool) -> None:
        folder = self._selected()
        if name == "SEARCH":
            if self._mailbox.faults.take("imap_no_to_search"):
                raise Refusal("SEARCH failed")
            found = search(folder, arguments, by_uid=by_uid)
            await self._tell(" ".join(["SEARCH", *map(str, found)]))
        elif name == "FETCH":
            await self._fetch(folder, arguments, by_uid=by_uid)
        elif name == "STORE":
            for _, entry in chosen(folder, arguments[0], by_uid=by_uid):
                entry.seen = arguments[1].startswith("+")
        else:
            self._move(folder, arguments)

    async def _fetch(self, folder: Folder, arguments: list[str], *, by_uid: bool) -> None:
        for number, entry in list(chosen(folder, arguments[0], by_uid=by_uid)):
            answer = fetched(number, entry, arguments[1:], by_uid=by_uid)
            if b"BODY[" in answer:
                await self._fetch_faults(entry, answer)
            await self._connection.write(answer + b"\r\n")

    async def _fetch_faults(self, entry: Entry, answer: bytes) -> None:
        faults = self._mailbox.faults
        poison = faults.poison_of(entry.mail.id)
        if poison == "refuse" or faults.take("imap_no_to_fetch"):
            raise Refusal("the mail could not be read")
        if poison == "oversize":
            await self._connection.write(b"* 1 FETCH (UID %d BODY[] {%d}\r\n" % (entry.uid, 1 << 40))
        if poison == "cut" or faults.take("imap_cut_in_fetch"):
            await self._connection.write(answer[: len(answer) // 2])
            self._connection.cut()
        if poison == "hang" or faults.take("imap_hole_in_fetch"):
            await self._connection.write(answer[: len(answer) // 2])
            await self._connection.vanish()

    def _move(self, folder: Folder, arguments: list[str]) -> None:
        goal = self._mailbox.folder(self._in(), arguments[1])
        ranges = in_set(arguments[0], highest_uid(folder))
        for entry in [entry for entry in folder.entries if any(entry.uid in one for one in ranges)]:
            folder.entries.remove(entry)
            goal.add(entry.mail, seen=entry.seen)
        self._mailbox.wake()

    async def _tell_news(self) -> None:
        if self._folder is not None and len(self._folder.entries) != self._told:
            self._told = len(self._folder.entries)
            await self._tell(f"{self._told} EXISTS")

    def _in(self) -> Account:
        if self._account is None:
            raise BadCommand("log in first")
        return self._account

    def _selected(self) -> Folder:
        if self._folder is None:
            raise BadCommand("select a mailbox first")
        return self._folder

    def _named(self, name: str) -> Folder | None:
        return self._in().folders.get("INBOX" if name.upper() == "INBOX" else name)

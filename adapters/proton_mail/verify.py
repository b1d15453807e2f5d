"""The set-up test: line by line what works, and what to do about what does not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from adapters.contract import Check
from adapters.errors import AdapterError, CredentialRefused, Misconfigured
from adapters.proton_mail.faults import CHECK_ADDRESS
from adapters.proton_mail.imap import ImapConnection, connect
from adapters.proton_mail.settings import ALL_MAIL, ProtonMailSettings
from adapters.proton_mail.smtp import conversation

MAX_ADDRESSES = 10  # beside the user name: each is a login, and Bridge has an eye on who makes many
MAX_NAMED = 30


class SetupTest:
    """Tries one setting after another. A refused login ends it: Bridge locks out who tries too often."""

    def __init__(self, settings: ProtonMailSettings) -> None:
        self._settings = settings
        self._is_over = False

    async def run(self) -> list[Check]:
        """All lines. Never raises for a refusal."""
        lines: list[Check] = []
        for name, step in (("settings", self._verified), ("imap", self._imap), ("smtp", self._smtp)):
            if not self._is_over:
                lines += await self._lines(name, step)
        if not self._is_over:
            lines += await self._senders()
        return lines

    async def _senders(self) -> list[Check]:
        """The one that stands in From before the others: it is tried, however many there are."""
        _, *others = self._settings.own_addresses  # the first has logged in already
        wanted = self._settings.sender.lower()
        others.sort(key=lambda address: address != wanted)
        lines: list[Check] = []
        for address in others[:MAX_ADDRESSES]:
            lines += await self._lines(f"sender {address}", partial(self._sender, address))
        left = len(others) - MAX_ADDRESSES
        if left > 0:
            lines.append(Check("senders", True, f"{left} more of the addresses were not tried"))
        return lines

    async def _lines(self, name: str, step: Callable[[], Awaitable[list[Check]]]) -> list[Check]:
        try:
            return await step()
        except (CredentialRefused, Misconfigured) as error:
            self._is_over = self._is_over or name in ("settings", "imap", "smtp")
            return [Check(name, False, error.detail, error.advice or CHECK_ADDRESS)]
        except AdapterError as error:
            return [Check(name, False, error.detail, error.advice or CHECK_ADDRESS)]

    async def _verified(self) -> list[Check]:
        self._settings.verified()
        return [Check("settings", True, "the certificate can be read and no folder is forbidden")]

    async def _imap(self) -> list[Check]:
        settings = self._settings
        connection = await connect(settings)
        try:
            how = "IDLE and polling" if connection.offers_idle and settings.idle else "polling"
            lines = [Check("imap", True, f"logs in over TLS with the pinned certificate; {how}")]
            for folder in dict.fromkeys((*settings.folders, settings.sent_folder)):
                use = "read" if folder in settings.folders else "searched for what was sent"
                lines += await self._lines(f"folder {folder}", partial(self._folder, connection, folder, use))
            return lines
        finally:
            await connection.close()

    async def _folder(self, connection: ImapConnection, folder: str, use: str) -> list[Check]:
        try:
            selected = await connection.examine(folder)
        except Misconfigured as error:
            there = [name for name in await connection.folders() if name.lower() != ALL_MAIL]
            raise Misconfigured(error.detail, advice=f"There are: {', '.join(there[:MAX_NAMED])}.") from error
        return [
            Check(
                f"folder {folder}", True, f"is {use}; {selected.uid_next - 1} mail(s) were ever filed in it"
            )
        ]

    async def _smtp(self) -> list[Check]:
        async with conversation(self._settings):
            pass
        sender = self._settings.username
        return [
            Check("smtp", True, "logs in over TLS with the pinned certificate"),
            Check(f"sender {sender}", True, "may send"),
        ]

    async def _sender(self, address: str) -> list[Check]:
        """Bridge takes any of the account's addresses as a user name, and looks at From only when it sends."""
        try:
            async with conversation(self._settings, address):
                return [Check(f"sender {address}", True, "may send")]
        except CredentialRefused:
            return [
                Check(
                    f"sender {address}",
                    False,
                    "is not an enabled address of this account",
                    "Enable it in Proton's settings, or take it out of addresses and from_address.",
                )
            ]

"""Sending once, and finding out whether a mail is there.

Bridge remembers for 30 minutes what was sent and sends it no second time; Sent remembers the Message-ID for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from adapters.contract import Outbound, Receipt
from adapters.errors import AdapterError, OutcomeUnknown, Passing
from adapters.proton_mail.imap import ImapConnection, RefusedByServer, connect
from adapters.proton_mail.protocol import quoted
from adapters.proton_mail.render import FrozenMail, freeze, letter_of
from adapters.proton_mail.settings import ProtonMailSettings
from adapters.proton_mail.smtp import conversation, hand_over


def frozen(message: Outbound, settings: ProtonMailSettings) -> FrozenMail:
    """As it is; a plain message is rendered, to the same bytes at each try."""
    if isinstance(message, FrozenMail):
        return message
    return freeze(message.key, letter_of(message), settings, message.first_tried_at_ms)


async def send(message: Outbound, settings: ProtonMailSettings, now_ms: Callable[[], int]) -> Receipt:
    """Hand it over once, never repeating by itself. Raises OutcomeUnknown when it may have left."""
    mail = frozen(message, settings)
    async with conversation(settings) as client:
        await hand_over(client, mail.sender, mail.recipients, mail.raw, settings.pace.send_timeout_s)
    return Receipt(mail.message_id, now_ms())


async def look_up(message: Outbound, settings: ProtonMailSettings) -> Receipt | None:
    """Search Sent by Message-ID, for a while: Bridge files what it sent when Proton says so.

    None = certainly absent. Raises OutcomeUnknown when the folder cannot be searched, and Passing when Bridge is away all
    the while: then look again later.
    """
    mail = frozen(message, settings)
    pace = settings.pace
    loop = asyncio.get_running_loop()
    over_at = loop.time() + pace.look_up_s
    while True:
        fault: Passing | None = None
        try:
            found = await _search(mail, settings)
            if found is not None:
                return found
        except Passing as error:
            fault = error
        if loop.time() >= over_at:
            _check_looked(fault)
            return None
        await asyncio.sleep(pace.look_up_every_s)


def _check_looked(fault: Passing | None) -> None:
    """Only who could look in the end may say that it is absent."""
    if isinstance(fault, RefusedByServer):
        raise OutcomeUnknown("Sent cannot be searched") from fault
    if fault is not None:
        raise fault


async def _search(mail: FrozenMail, settings: ProtonMailSettings) -> Receipt | None:
    connection = await connect(settings)
    try:
        await connection.examine(settings.sent_folder)
        return await _found(connection, mail)
    finally:
        with suppress(AdapterError):
            await connection.close()


async def _found(connection: ImapConnection, mail: FrozenMail) -> Receipt | None:
    name = quoted(mail.message_id.strip("<>"))
    uids = await connection.search("HEADER", "Message-ID", str(name))
    envelopes = await connection.envelopes(uids) if uids else []
    if not envelopes:
        return None
    newest_ms = max(one.received_at_ms for one in envelopes)  # a retry of what came back has two
    return Receipt(mail.message_id, newest_ms, found=True)

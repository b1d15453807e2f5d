"""Sending once, and finding out whether a mail is there.

Bridge remembers for 30 minutes what was sent and sends it no second time; Sent remembers the Message-ID for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from adapters.contract import Outbound, Receipt
from adapters.errors import AdapterError, OutcomeUnknown, Passing
from adapters.proton_mail.imap import ImapConnection, connect
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

    None = certainly absent. Raises OutcomeUnknown when the search could not be finished.
    """
    mail = frozen(message, settings)
    pace = settings.pace
    loop = asyncio.get_running_loop()
    over_at = loop.time() + pace.look_up_s
    while True:
        try:
            found = await _search(mail, settings)
        except Passing as fault:
            if loop.time() >= over_at:
                raise OutcomeUnknown(f"Sent cannot be searched ({fault.code})") from fault
            found = None
            over = False
        else:
            over = loop.time() >= over_at
        if found is not None or over:
            return found
        await asyncio.sleep(pace.look_up_every_s)


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
    return Receipt(mail.message_id, envelopes[0].received_at_ms, found=True) if envelopes else None

"""The sandbox has Bridge's habits, seen with the standard library's clients."""

from __future__ import annotations

import asyncio
import imaplib
import smtplib
import ssl
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest

from fleetprompt.sandbox.mailbox import MailboxControl, SandboxMailbox
from fleetprompt.sandbox.mailbox.bridge import header
from fleetprompt.sandbox.mailbox.records import PASSWORD
from tests.mail_stage import DANA, FLEET, mail

OUT = mail(
    "Our answer",
    sender=FLEET,
    to=DANA,
    message_id="<ours@acme.example>",
    headers=["Auto-Submitted: auto-replied"],
)


@pytest.fixture
async def server() -> AsyncIterator[SandboxMailbox]:
    async with SandboxMailbox() as running:
        running.create_account(FLEET)
        yield running


async def by_imap(server: SandboxMailbox, act: Callable[[imaplib.IMAP4], Any]) -> Any:
    def session() -> Any:
        client = imaplib.IMAP4("127.0.0.1", server.imap.port)
        client.starttls(ssl.create_default_context(cadata=server.certificate_pem))
        client.login(FLEET, PASSWORD)
        try:
            return act(client)
        finally:
            client.shutdown()

    return await asyncio.to_thread(session)


async def by_smtp(
    server: SandboxMailbox, act: Callable[[smtplib.SMTP], Any], password: str = PASSWORD
) -> Any:
    def session() -> Any:
        client = smtplib.SMTP("127.0.0.1", server.smtp.port)
        try:
            client.starttls(context=ssl.create_default_context(cadata=server.certificate_pem))
            client.login(FLEET, password)
            return act(client)
        finally:
            client.close()

    return await asyncio.to_thread(session)


async def test_it_offers_what_bridge_offers(server: SandboxMailbox) -> None:
    offered = await by_imap(server, lambda client: client.capability()[1][0])
    assert offered.split() == [b"IMAP4rev1", b"IDLE", b"UNSELECT", b"UIDPLUS", b"MOVE", b"ID"]


async def test_its_folders_are_bridge_s_and_a_labelled_mail_stands_in_several(server: SandboxMailbox) -> None:
    server.deliver(FLEET, mail(), ["INBOX", "Labels/Urgent"])
    listed = await by_imap(server, lambda client: str(client.list()[1]))
    for name in ("INBOX", "Sent", "Spam", "All Mail", "Labels/Urgent"):
        assert f'"{name}"' in listed
    assert [len(server.mails(FLEET, name)) for name in ("INBOX", "Labels/Urgent", "All Mail")] == [1, 1, 1]


async def test_peeking_leaves_a_mail_unread(server: SandboxMailbox) -> None:
    server.deliver(FLEET, mail())

    def read(client: imaplib.IMAP4) -> list[Any]:
        client.select("INBOX", readonly=True)
        client.uid("FETCH", "1", "(BODY.PEEK[])")
        return client.uid("SEARCH", "UNSEEN")[1]

    assert await by_imap(server, read) == [b"1"]


async def test_twenty_bad_commands_end_the_session(server: SandboxMailbox) -> None:
    def misbehave(client: imaplib.IMAP4) -> int:
        client.select("INBOX")
        for number in range(50):
            try:
                client.uid("SEARCH", "NONSENSE")
            except imaplib.IMAP4.abort:
                return number
            except imaplib.IMAP4.error:
                continue
        return 50

    assert await by_imap(server, misbehave) == 20


async def test_uidvalidity_rises_with_a_rebuild(server: SandboxMailbox) -> None:
    def validity(client: imaplib.IMAP4) -> str:
        client.select("INBOX")
        return str(client.untagged_responses["UIDVALIDITY"][0], "ascii")  # type: ignore[arg-type]

    before = await by_imap(server, validity)
    server.rebuild(FLEET)
    assert int(await by_imap(server, validity)) == int(before) + 1


async def test_headers_are_dropped_and_the_copy_is_filed(server: SandboxMailbox) -> None:
    await by_smtp(server, lambda client: client.sendmail(FLEET, [DANA], OUT))
    [filed] = server.mails(FLEET, "Sent")
    assert header(filed.raw, "Message-ID") == "<ours@acme.example>"
    assert header(filed.raw, "Auto-Submitted") == ""


async def test_the_same_within_half_an_hour_is_accepted_and_not_sent(server: SandboxMailbox) -> None:
    again = OUT.replace(b"<ours@", b"<another@")
    other = OUT.replace(b"Our answer", b"Another answer")
    for raw in (OUT, again, other):
        await by_smtp(server, partial(smtplib.SMTP.sendmail, from_addr=FLEET, to_addrs=[DANA], msg=raw))
    server.skip(31 * 60)
    await by_smtp(server, lambda client: client.sendmail(FLEET, [DANA], again))
    assert [one.sent is not None for one in server.submissions] == [True, False, True, True]


async def test_who_lives_here_too_gets_the_mail(server: SandboxMailbox) -> None:
    server.create_account(DANA)
    await by_smtp(server, lambda client: client.sendmail(FLEET, [DANA], OUT))
    [came] = server.mails(DANA)
    assert came.raw.endswith(b"Our answer\r\n")


async def test_a_refused_login_is_454_and_all_else_554(server: SandboxMailbox) -> None:
    with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
        await by_smtp(server, lambda client: None, password="wrong")
    assert refused.value.smtp_code == 454
    with pytest.raises(smtplib.SMTPDataError) as failed:
        await by_smtp(server, lambda client: client.sendmail("boss@acme.example", [DANA], OUT))
    assert failed.value.smtp_code == 554
    assert b"weather" in failed.value.smtp_error


async def test_a_to_that_differs_in_case_becomes_bcc(server: SandboxMailbox) -> None:
    await by_smtp(server, lambda client: client.sendmail(FLEET, [DANA.upper()], OUT))
    sent = server.submissions[0].sent
    assert sent is not None
    assert header(sent, "To") == ""


async def test_smtp_says_no_size_and_takes_a_login_in_clear(server: SandboxMailbox) -> None:
    def session() -> tuple[bool, int]:
        with smtplib.SMTP("127.0.0.1", server.smtp.port) as client:
            client.ehlo()
            return client.has_extn("size"), client.login(FLEET, PASSWORD)[0]

    assert await asyncio.to_thread(session) == (False, 235)


async def test_another_process_drives_it_over_http(server: SandboxMailbox) -> None:
    async with MailboxControl(server.url) as control:
        assert (await control.ready())["imap_port"] == server.imap.port
        await control.create_account("dana@globex.example")
        await control.deliver("dana@globex.example", mail("over http"))
        [raw] = await control.mails("dana@globex.example")
        assert raw.endswith(b"over http\r\n")
        await by_smtp(server, lambda client: client.sendmail(FLEET, [DANA], OUT))
        [one] = await control.submissions()
        assert one == server.submissions[0]
        await control.arm("smtp_fail_data")
        await control.skip(5)
        with pytest.raises(Exception, match="400"):
            await control.arm("no such fault")

"""Bad days of sending: an answer stands in its thread, exactly once, or its fate is said to be unknown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from adapters.contract import Outbound, Place
from adapters.errors import CredentialRefused, FarSideFailed, Misconfigured, OutcomeUnknown, Passing
from adapters.proton_mail import FrozenMail, Letter, MailReceived, ProtonMailAdapter, freeze
from fleetprompt.sandbox.mailbox import SandboxMailbox, Submission
from fleetprompt.sandbox.mailbox.bridge import header
from tests.listening import listening
from tests.mail_stage import DANA, FLEET, QUICK, mail, settings

QUESTION = "<" + "q" * 100 + "@protonmail.example>"


@pytest.fixture
async def server() -> AsyncIterator[SandboxMailbox]:
    async with SandboxMailbox() as running:
        running.create_account(FLEET, aliases=["support@acme.example"])
        yield running


@pytest.fixture
async def adapter(server: SandboxMailbox) -> AsyncIterator[ProtonMailAdapter]:
    built = ProtonMailAdapter(settings(server))
    yield built
    await built.close()


def answer(
    server: SandboxMailbox, key: str = "d1", text: str = "An answer.", **changes: object
) -> FrozenMail:
    letter = Letter([DANA], "Re: A question", text)
    return freeze(key, replace(letter, **changes), settings(server), 1_795_255_200_000)  # type: ignore[arg-type]


def left(server: SandboxMailbox) -> list[Submission]:
    return [one for one in server.submissions if one.sent is not None]


async def test_an_answer_stands_in_the_thread_of_its_question(
    server: SandboxMailbox, adapter: ProtonMailAdapter
) -> None:
    server.deliver(FLEET, mail(message_id=QUESTION))
    async with listening(adapter) as ear:
        await ear.until(lambda: bool(ear.heard))
    question = ear.heard[0]
    assert isinstance(question, MailReceived)
    assert question.mail is not None
    found = answer(
        server,
        in_reply_to=question.mail.message_id,
        references=[question.mail.message_id],
        parent_internal_id=question.mail.internal_id,
    )
    receipt = await adapter.send(found)
    [sent] = server.submissions
    assert receipt.external_id == sent.message_id == found.message_id
    assert sent.raw == found.raw
    assert f"In-Reply-To: {QUESTION}\r\n".encode() in sent.raw
    assert sent.sent is not None
    assert header(sent.sent, "In-Reply-To") == QUESTION
    assert header(sent.sent, "References") == QUESTION


async def test_bridge_finds_the_parent_by_proton_s_own_id_alone(
    server: SandboxMailbox, adapter: ProtonMailAdapter
) -> None:
    stored = server.deliver(FLEET, mail(message_id=QUESTION))
    internal_id = header(stored.raw, "X-Pm-Internal-Id")
    await adapter.send(answer(server, parent_internal_id=internal_id))
    sent = server.submissions[0].sent
    assert sent is not None
    assert header(sent, "In-Reply-To") == QUESTION


@pytest.mark.parametrize("fault", ["smtp_drop_after_data", "smtp_hole_after_data"])
async def test_a_mail_that_left_without_an_answer_is_found_in_sent(
    server: SandboxMailbox, adapter: ProtonMailAdapter, fault: str
) -> None:
    server.arm(fault)
    quick = ProtonMailAdapter(settings(server, pace=replace(QUICK, send_timeout_s=0.5)))
    with pytest.raises(OutcomeUnknown):
        await quick.send(answer(server))
    found = await adapter.look_up(answer(server))
    assert found is not None
    assert found.found
    assert len(left(server)) == 1
    await quick.close()


@pytest.mark.parametrize("fault", ["smtp_drop_before_sending", "smtp_fail_data"])
async def test_a_mail_that_did_not_leave_is_certainly_absent_and_sent_again(
    server: SandboxMailbox, adapter: ProtonMailAdapter, fault: str
) -> None:
    server.arm(fault)
    with pytest.raises(OutcomeUnknown):
        await adapter.send(answer(server))
    assert await adapter.look_up(answer(server)) is None
    await adapter.send(answer(server))
    assert [one.raw for one in left(server)] == [answer(server).raw]


async def test_a_repeat_of_the_same_bytes_sends_nothing_twice(
    server: SandboxMailbox, adapter: ProtonMailAdapter
) -> None:
    first = await adapter.send(answer(server))
    second = await adapter.send(answer(server))
    assert first.external_id == second.external_id
    assert [one.sent is None for one in server.submissions] == [False, True]
    assert len(server.mails(FLEET, "Sent")) == 1


async def test_what_bridge_files_late_is_waited_for(server: SandboxMailbox) -> None:
    patient = ProtonMailAdapter(settings(server, pace=replace(QUICK, look_up_s=5, look_up_every_s=0.1)))
    looking = asyncio.create_task(patient.look_up(answer(server)))
    await asyncio.sleep(0.3)
    account = server.account(FLEET)
    server.mailbox.submit(account, FLEET, [DANA], answer(server).raw)
    assert await looking is not None
    await patient.close()


async def test_when_sent_cannot_be_searched_the_outcome_stays_unknown(
    server: SandboxMailbox, adapter: ProtonMailAdapter
) -> None:
    server.arm("imap_no_to_search", 100)
    with pytest.raises(OutcomeUnknown):
        await adapter.look_up(answer(server))


async def test_while_bridge_is_away_the_look_up_is_to_be_repeated(
    server: SandboxMailbox, adapter: ProtonMailAdapter
) -> None:
    await server.imap.stop()
    with pytest.raises(Passing):
        await adapter.look_up(answer(server))


@pytest.mark.parametrize("fault", ["smtp_fail_mail", "smtp_fail_recipient"])
async def test_a_refusal_before_the_mail_itself_may_be_tried_again(
    server: SandboxMailbox, adapter: ProtonMailAdapter, fault: str
) -> None:
    """Bridge says 554 for everything, also for what passes."""
    server.arm(fault)
    with pytest.raises(FarSideFailed):
        await adapter.send(answer(server))
    await adapter.send(answer(server))
    assert len(left(server)) == 1


async def test_one_refused_recipient_lets_nothing_leave(
    server: SandboxMailbox, adapter: ProtonMailAdapter
) -> None:
    server.arm("smtp_fail_recipient")
    with pytest.raises(FarSideFailed):
        await adapter.send(answer(server, to=[DANA, "bob@customer.example"]))
    assert not server.submissions


async def test_a_server_that_is_silent_or_away_has_nothing(server: SandboxMailbox) -> None:
    adapter = ProtonMailAdapter(settings(server, pace=replace(QUICK, connect_timeout_s=0.5)))
    server.arm("smtp_silent")
    with pytest.raises(Passing):
        await adapter.send(answer(server))
    await server.smtp.stop()
    with pytest.raises(Passing):
        await adapter.send(answer(server))
    await adapter.close()


async def test_a_wrong_password_needs_a_person(server: SandboxMailbox) -> None:
    adapter = ProtonMailAdapter(settings(server, password="wrong"))
    with pytest.raises(CredentialRefused) as refused:
        await adapter.send(answer(server))
    assert refused.value.advice
    await adapter.close()


async def test_an_account_that_is_not_ours_may_not_send(server: SandboxMailbox) -> None:
    adapter = ProtonMailAdapter(settings(server, addresses=("support@acme.example", "boss@acme.example")))
    lines = {line.name: line.ok for line in await adapter.check()}
    assert lines == {
        "settings": True,
        "imap": True,
        "folder INBOX": True,
        "folder Sent": True,
        "smtp": True,
        f"sender {FLEET}": True,
        "sender support@acme.example": True,
        "sender boss@acme.example": False,
    }
    await adapter.close()


async def test_every_recipient_stands_in_to_and_cc_as_in_the_envelope(
    server: SandboxMailbox, adapter: ProtonMailAdapter
) -> None:
    await adapter.send(answer(server, to=["Dana@Customer.example"], cc=["bob@customer.example"]))
    [sent] = server.submissions
    assert sent.recipients == ("Dana@Customer.example", "bob@customer.example")
    assert sent.sent is not None
    assert header(sent.sent, "To") == "Dana@Customer.example"
    assert header(sent.sent, "Cc") == "bob@customer.example"


async def test_dots_and_long_lines_arrive_as_they_were_written(
    server: SandboxMailbox, adapter: ProtonMailAdapter
) -> None:
    found = answer(server, text=".\n..\n.hidden\n" + "word " * 1000 + "\nFrom here\n" + "gr\u00fc\u00dfe")
    await adapter.send(found)
    assert server.submissions[0].raw == found.raw


async def test_nothing_is_appended_to_sent_by_us(server: SandboxMailbox, adapter: ProtonMailAdapter) -> None:
    await adapter.send(answer(server))
    await adapter.look_up(answer(server))
    assert b"APPEND" not in b"".join(piece.data for piece in server.wire if piece.protocol == "imap")


async def test_a_from_address_that_is_not_owned_never_leaves(server: SandboxMailbox) -> None:
    adapter = ProtonMailAdapter(settings(server, from_address="boss@acme.example"))
    with pytest.raises((OutcomeUnknown, Misconfigured)):
        await adapter.send(Outbound("d1", Place(DANA, "direct"), "An answer.", 1))
    assert not left(server)
    await adapter.close()

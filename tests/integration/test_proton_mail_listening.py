"""Bad days of reading: the mailbox is cut off, silent, rebuilt, full or odd, and each mail is told once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from adapters.contract import ConnectionState
from adapters.errors import Misconfigured
from adapters.proton_mail import MailLimits, MailReceived, ProtonMailAdapter
from adapters.proton_mail.fetch import FETCH_TRIES
from fleetprompt.sandbox.mailbox import SandboxMailbox
from tests.listening import States, listening
from tests.mail_corpus import nested
from tests.mail_stage import FLEET, QUICK, mail, settings

HASTY = replace(QUICK, answer_timeout_s=0.6, idle_s=0.4, idle_end_s=0.4)


@pytest.fixture
async def server() -> AsyncIterator[SandboxMailbox]:
    async with SandboxMailbox() as running:
        running.create_account(FLEET)
        yield running


def says(server: SandboxMailbox, text: str, *folders: str, **options: object) -> None:
    message_id = str(options.pop("message_id", ""))
    raw = mail(text, message_id=message_id)
    server.deliver(FLEET, raw, folders or ("INBOX",), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("idle", [True, False])
@pytest.mark.parametrize(
    "fault",
    ["imap_cut_in_idle", "imap_bye_in_idle", "imap_hole_in_idle", "imap_cut_in_fetch", "imap_hole_in_fetch",
     "imap_no_idle", "imap_silent", "imap_no_to_fetch", "imap_no_to_search"],
)  # fmt: skip
async def test_after_any_fault_reading_goes_on(server: SandboxMailbox, fault: str, idle: bool) -> None:
    """With IDLE and without; nothing is lost, nothing told twice."""
    states = States()
    adapter = ProtonMailAdapter(settings(server, pace=HASTY, idle=idle), states)
    says(server, "before")
    async with listening(adapter) as ear:
        await ear.hears("before")
        await states.reach(ConnectionState.CONNECTED)
        server.arm(fault)
        says(server, "during")
        await ear.hears("during")
        says(server, "after")
        await ear.hears("after")
    assert ear.texts == ["before", "during", "after"]
    await adapter.close()


async def test_while_everything_is_cut_again_and_again_nothing_is_lost(server: SandboxMailbox) -> None:
    adapter = ProtonMailAdapter(settings(server, pace=HASTY))
    texts = [f"mail {number}" for number in range(40)]
    async with listening(adapter) as ear:
        for number, text in enumerate(texts):
            says(server, text)
            if number % 8 == 7:
                server.cut_connections()
                await asyncio.sleep(0.05)
        await ear.hears(*texts)
    assert sorted(ear.texts) == sorted(texts)
    await adapter.close()


async def test_mail_from_while_we_were_away_and_mail_that_was_read_by_a_person_is_told(
    server: SandboxMailbox,
) -> None:
    adapter = ProtonMailAdapter(settings(server))
    says(server, "first")
    async with listening(adapter) as ear:
        await ear.hears("first")
    says(server, "unread")
    says(server, "read by a person", seen=True)
    async with listening(adapter, ear.cursor) as again:
        await again.hears("unread", "read by a person")
    assert again.texts == ["unread", "read by a person"]
    seen = {entry.mail.raw: entry.seen for entry in server.account(FLEET).folders["INBOX"].entries}
    assert list(seen.values()) == [False, False, True]  # reading by us marks nothing
    await adapter.close()


async def test_a_rebuilt_mailbox_repeats_only_what_the_caller_knows_by_its_key(
    server: SandboxMailbox,
) -> None:
    adapter = ProtonMailAdapter(settings(server))
    for number in range(5):
        says(server, f"old {number}")
    async with listening(adapter) as ear:
        await ear.hears("old 4")
    server.rebuild(FLEET)
    says(server, "meanwhile")
    async with listening(adapter, ear.cursor) as again:
        await again.hears("meanwhile")
        server.rebuild(FLEET)
        says(server, "later")
        await again.hears("later")
    assert again.texts.count("meanwhile") == again.texts.count("later") == 1
    fresh = [event for event in again.heard if event.event_key not in ear.keys]
    assert [event.text for event in fresh] == ["meanwhile", "later"]
    await adapter.close()


async def test_what_is_older_than_the_install_is_history_under_any_uid(server: SandboxMailbox) -> None:
    now_s = server.mailbox.now_s()
    says(server, "long ago", received_at_s=now_s - 10 * 24 * 3600)
    says(server, "news", received_at_s=now_s)
    adapter = ProtonMailAdapter(settings(server, start_at_ms=int((now_s - 3600) * 1000)))
    async with listening(adapter) as ear:
        await ear.hears("news")
        says(server, "long ago, synchronised late", received_at_s=now_s - 5 * 24 * 3600)
        says(server, "more news", received_at_s=now_s)
        await ear.hears("more news")
    assert ear.texts == ["news", "more news"]
    await adapter.close()


async def test_without_a_start_only_what_comes_from_now_on_is_told(server: SandboxMailbox) -> None:
    states = States()
    says(server, "was there")
    says(server, "was there too", "Folders/Support")
    adapter = ProtonMailAdapter(settings(server, start_at_ms=0, folders=("INBOX", "Folders/Support")), states)
    async with listening(adapter) as ear:
        await states.reach(ConnectionState.CONNECTED)
        says(server, "new", "Folders/Support")
        says(server, "new in the inbox")
        await ear.hears("new", "new in the inbox")
    assert sorted(ear.texts) == ["new", "new in the inbox"]
    await adapter.close()


async def test_a_mail_in_two_folders_is_one_and_a_message_id_with_two_bodies_two(
    server: SandboxMailbox,
) -> None:
    adapter = ProtonMailAdapter(settings(server, folders=("INBOX", "Labels/Urgent")))
    says(server, "labelled", "INBOX", "Labels/Urgent")
    for with_internal_id in (True, False):
        for text in ("one body", "another body"):
            says(
                server,
                f"{text} {with_internal_id}",
                message_id="<same@x.example>",
                with_internal_id=with_internal_id,
            )
    says(server, "no id of Proton", "INBOX", "Labels/Urgent", with_internal_id=False)
    async with listening(adapter) as ear:
        await ear.hears("one body True", "another body False", "no id of Proton", "labelled")
        says(server, "end")
        await ear.hears("end")
    assert len(ear.texts) == len(set(ear.texts)) == 7
    assert len(set(ear.keys)) == 7
    await adapter.close()


async def test_a_folder_that_is_not_there_needs_a_person(server: SandboxMailbox) -> None:
    says(server, "hello", "Folders/Support")
    adapter = ProtonMailAdapter(settings(server, folders=("INBOX", "Folders/Nowhere")))
    with pytest.raises(Misconfigured, match="Folders/Nowhere"):
        await adapter.open()
    [failed] = [line for line in await adapter.check() if not line.ok]
    assert failed.name == "folder Folders/Nowhere"
    assert "Folders/Support" in failed.remedy
    assert "All Mail" not in failed.remedy
    await adapter.close()


async def test_the_set_up_test_says_of_each_address_what_became_of_it(server: SandboxMailbox) -> None:
    """Ten are tried, the one that stands in From among them; of the others one line says that they were not."""
    aliases = [f"team{number}@acme.example" for number in range(13)]
    server.create_account("many@acme.example", aliases=aliases)
    few = ProtonMailAdapter(settings(server, "many@acme.example", addresses=tuple(aliases[:10])))
    many = ProtonMailAdapter(
        settings(server, "many@acme.example", addresses=tuple(aliases), from_address=aliases[-1])
    )
    tried = [line.name for line in await few.check() if line.name.startswith("sender")]
    assert tried == [f"sender {one}" for one in ("many@acme.example", *aliases[:10])]
    lines = {line.name: line for line in await many.check() if line.name.startswith("sender")}
    assert list(lines) == [
        *(f"sender {one}" for one in ("many@acme.example", aliases[-1], *aliases[:9])),
        "senders",
    ]
    assert "3 more" in lines["senders"].detail
    assert all(line.ok for line in lines.values())


async def test_a_mail_that_cannot_be_read_is_told_as_set_aside_and_the_next_one_is_read(
    server: SandboxMailbox,
) -> None:
    adapter = ProtonMailAdapter(settings(server, limits=MailLimits(mail_bytes=300_000)))
    server.deliver(FLEET, nested(1000))
    server.deliver(FLEET, mail("x" * 500_000))
    server.deliver(FLEET, mail("-----BEGIN PGP MESSAGE-----"))
    says(server, "fine")
    async with listening(adapter) as ear:
        await ear.hears("fine")
    reasons = [
        event.quarantine.reason for event in ear.heard if isinstance(event, MailReceived) and event.quarantine
    ]
    assert reasons == ["too_many_parts", "too_long", "undecrypted"]
    assert [event.addressed for event in ear.heard] == [False, False, False, True]
    assert all(event.raw for event in ear.heard)
    await adapter.close()


async def test_a_mail_that_the_server_does_not_give_is_set_aside_in_the_end(server: SandboxMailbox) -> None:
    adapter = ProtonMailAdapter(settings(server, pace=HASTY))
    says(server, "broken over there")
    server.arm("imap_no_to_fetch", 6)
    async with listening(adapter) as ear:
        await ear.until(lambda: len(ear.heard) == 1)
        says(server, "fine")
        await ear.hears("fine")
    first = ear.heard[0]
    assert isinstance(first, MailReceived)
    assert first.quarantine is not None
    assert first.quarantine.reason == "not_given"
    await adapter.close()


@pytest.mark.parametrize("poison", ["cut", "hang", "oversize", "refuse"])
async def test_a_mail_that_breaks_each_connection_is_set_aside_and_those_behind_it_are_read(
    server: SandboxMailbox, poison: str
) -> None:
    """Among others in one batch, alone in its batch, and one that is too long to be read whole."""
    limits = MailLimits(mail_bytes=300_000)
    adapter = ProtonMailAdapter(settings(server, pace=HASTY, limits=limits))
    says(server, "before")
    server.poison(server.deliver(FLEET, mail("among others")).id, poison)
    says(server, "behind among")
    async with listening(adapter) as ear:
        await ear.hears("before", "behind among")
        server.poison(server.deliver(FLEET, mail("x" * 500_000)).id, poison)
        says(server, "behind xxxxx")
        await ear.hears("behind xxxxx")
        server.poison(server.deliver(FLEET, mail("alone")).id, poison)
        await ear.until(lambda: len(ear.heard) == 6)
        says(server, "after")
        await ear.hears("after")
    heard = [event.text for event in ear.heard]
    assert heard == ["before", "", "behind among", "", "behind xxxxx", "", "after"]
    aside = [event for event in ear.heard if isinstance(event, MailReceived) and event.quarantine]
    assert [one.quarantine.reason for one in aside if one.quarantine] == ["not_given"] * 3
    assert len({one.event_key for one in aside}) == 3
    assert server.faults_used(poison) >= 3 * FETCH_TRIES
    await adapter.close()


async def test_a_server_that_is_down_again_and_again_sets_no_mail_aside(server: SandboxMailbox) -> None:
    """Whether it is away altogether, hangs up at once, or answers nothing: no mail was asked for."""
    states = States()
    adapter = ProtonMailAdapter(settings(server, pace=HASTY), states)
    says(server, "first")
    server.arm("imap_cut_in_fetch", FETCH_TRIES - 1)
    async with listening(adapter) as ear:
        await states.reach(ConnectionState.DISCONNECTED, FETCH_TRIES - 1)
        server.arm("imap_silent", 2)
        server.arm("imap_no_to_search", 2 * FETCH_TRIES)
        await server.imap.stop()
        await states.reach(ConnectionState.DISCONNECTED, 4 * FETCH_TRIES)
        await server.imap.start()
        says(server, "second")
        await ear.hears("first", "second")
    assert [event.text for event in ear.heard] == ["first", "second"]
    assert server.faults_used("imap_no_to_search") == 2 * FETCH_TRIES
    await adapter.close()


async def test_two_accounts_of_which_one_is_slow_do_not_delay_each_other(server: SandboxMailbox) -> None:
    async with SandboxMailbox() as slow:
        slow.create_account(FLEET)
        slow.slow_down(5)
        waiting = ProtonMailAdapter(
            settings(slow, pace=replace(QUICK, connect_timeout_s=30, answer_timeout_s=30))
        )
        adapter = ProtonMailAdapter(settings(server))
        async with listening(waiting), listening(adapter) as ear:
            says(server, "here")
            await ear.hears("here")
        await adapter.close()
        await waiting.close()


@pytest.mark.slow
async def test_three_thousand_waiting_mails_are_told_once_and_in_order(server: SandboxMailbox) -> None:
    pace = replace(QUICK, answer_timeout_s=30)
    adapter = ProtonMailAdapter(settings(server, pace=pace))
    padding = "This is a line of a mail.\r\n" * 40
    for number in range(3000):
        says(server, f"{number}\r\n{padding}")
    async with listening(adapter) as ear:
        while len(ear.heard) < 3000 and not ear.is_over:
            await asyncio.sleep(0.1)
    assert [int(event.text.split()[0]) for event in ear.heard] == list(range(3000))
    assert len(ear.heard[-1].cursor) < 200
    await adapter.close()

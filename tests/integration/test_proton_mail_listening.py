"""Reading a mailbox that is rebuilt, full or odd: each mail is told once."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

import pytest

from adapters.contract import ConnectionState, Cursor
from adapters.errors import Misconfigured
from adapters.proton_mail import MailLimits, MailReceived, ProtonMailAdapter
from adapters.proton_mail.folder import AHEAD, CHUNK_MAILS
from adapters.proton_mail.normalise import Fetched
from fleetprompt.sandbox.mailbox import SandboxMailbox
from tests.listening import States, listening
from tests.mail_corpus import nested
from tests.mail_stage import FLEET, QUICK, mail, settings


@pytest.fixture
async def server() -> AsyncIterator[SandboxMailbox]:
    async with SandboxMailbox() as running:
        running.create_account(FLEET)
        yield running


def says(server: SandboxMailbox, text: str, *folders: str, **options: object) -> None:
    message_id = str(options.pop("message_id", ""))
    raw = mail(text, message_id=message_id)
    server.deliver(FLEET, raw, folders or ("INBOX",), **options)  # type: ignore[arg-type]


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


def held() -> int:
    """Mails in memory: fetched ones, and literals that just came."""
    return sum(isinstance(one, (Fetched, memoryview)) for one in gc.get_objects())


@pytest.mark.slow
async def test_three_thousand_waiting_mails_are_told_once_in_order_and_few_are_held_at_a_time(
    server: SandboxMailbox,
) -> None:
    """However slow the caller is: a batch on its way, one being parsed, and what is parsed ahead."""
    pace = replace(QUICK, answer_timeout_s=30)
    adapter = ProtonMailAdapter(settings(server, pace=pace))
    padding = "This is a line of a mail.\r\n" * 40
    for number in range(3000):
        says(server, f"{number}\r\n{padding}")
    told: list[int] = []
    most = 0
    async with aclosing(adapter.listen(Cursor(""))) as events:
        async for event in events:
            told.append(int(event.text.split()[0]))
            if len(told) % 300 == 150:
                await asyncio.sleep(0.5)  # whatever can be got ahead is there now
                most = max(most, held())
            if len(told) == 3000:
                break
    assert told == list(range(3000))
    assert len(event.cursor) < 200
    assert pace.batch_mails <= most <= 2 * pace.batch_mails + (AHEAD + 2) * CHUNK_MAILS
    await adapter.close()

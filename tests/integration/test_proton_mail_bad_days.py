"""Bad days of reading: the mailbox is cut off, silent, away or poisoned; each mail is told once, and nothing waits behind one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from adapters.contract import ConnectionState
from adapters.proton_mail import MailLimits, MailReceived, Pace, ProtonMailAdapter
from adapters.proton_mail.fetch import FETCH_TRIES
from fleetprompt.sandbox.mailbox import SandboxMailbox
from tests.listening import PATIENCE_S, States, listening
from tests.mail_stage import FLEET, QUICK, mail, settings

HASTY = replace(
    QUICK,
    connect_timeout_s=1.5,
    answer_timeout_s=0.6,
    idle_s=0.4,
    idle_end_s=0.4,
    give_up_s=0.3,
    give_up_refused_s=0.1,
)
OF_IDLE = ["imap_cut_in_idle", "imap_bye_in_idle", "imap_hole_in_idle", "imap_withdraw_idle"]
OF_ANY = ["imap_cut_in_fetch", "imap_hole_in_fetch", "imap_no_to_fetch", "imap_no_to_search",
          "imap_cut_in_select", "imap_hole_in_select"]  # fmt: skip
OF_CONNECTING = ["imap_no_idle", "imap_silent"]
CASES = [(fault, True) for fault in OF_IDLE + OF_ANY + OF_CONNECTING]
CASES += [(fault, False) for fault in OF_ANY + OF_CONNECTING]


@pytest.fixture
async def server() -> AsyncIterator[SandboxMailbox]:
    async with SandboxMailbox() as running:
        running.create_account(FLEET)
        yield running


def says(server: SandboxMailbox, text: str) -> None:
    server.deliver(FLEET, mail(text))


async def strikes(server: SandboxMailbox, fault: str) -> None:
    """Wait until the fault did its harm."""
    async with asyncio.timeout(PATIENCE_S):
        while not server.faults_used(fault):
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(("fault", "idle"), CASES)
async def test_after_any_fault_reading_goes_on(server: SandboxMailbox, fault: str, idle: bool) -> None:
    """With IDLE and without; nothing is lost, nothing told twice. The fault strikes once, wherever reading stands."""
    states = States()
    adapter = ProtonMailAdapter(settings(server, pace=HASTY, idle=idle), states)
    says(server, "before")
    async with listening(adapter) as ear:
        await ear.hears("before")
        await states.reach(ConnectionState.CONNECTED)
        server.arm(fault)
        if fault in OF_CONNECTING:
            server.cut_connections()
        says(server, "during")
        await strikes(server, fault)
        says(server, "after")
        await ear.hears("during", "after")
    assert ear.texts == ["before", "during", "after"]
    assert server.faults_used(fault) == 1
    await adapter.close()


async def test_where_idle_is_withdrawn_the_same_connection_polls(server: SandboxMailbox) -> None:
    states = States()
    adapter = ProtonMailAdapter(settings(server, pace=HASTY), states)
    server.arm("imap_withdraw_idle")
    async with listening(adapter) as ear:
        await strikes(server, "imap_withdraw_idle")
        for text in ("one", "two", "three"):
            says(server, text)
            await ear.hears(text)
    assert states.states.count(ConnectionState.CONNECTING) == 1
    assert sum(b" IDLE\r\n" in piece.data for piece in server.wire) == 1
    await adapter.close()


def test_with_the_pace_of_a_real_bridge_any_silence_is_over_within_a_minute() -> None:
    """What may pass, at most, from the last sign of the far side to the first answer on a new connection."""
    pace = Pace()
    silent_s = {
        "in IDLE": pace.idle_s + pace.idle_end_s,
        "before IDLE is granted": pace.answer_timeout_s,
        "in the NOOP behind IDLE": pace.idle_s + pace.answer_timeout_s,
        "between two looks": pace.poll_s + pace.answer_timeout_s,
        "in the middle of a mail": 2
        * pace.answer_timeout_s,  # a time-out in which bytes came, and one without
    }
    again_s = pace.backoff_first_s + pace.connect_timeout_s
    assert {where for where, seconds in silent_s.items() if seconds + again_s > 60} == set()


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


@pytest.mark.parametrize(
    "poison", ["cut", pytest.param("hang", marks=pytest.mark.slow), "oversize", "refuse"]
)
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


@pytest.mark.parametrize("poison", ["refuse", "cut"])
async def test_a_server_that_gives_nothing_for_a_while_costs_few_mails(
    server: SandboxMailbox, poison: str
) -> None:
    """It answers all but FETCH, as when Proton is away: each mail set aside makes the next one wait twice as long."""
    pace = replace(HASTY, backoff_most_s=0.05)
    adapter = ProtonMailAdapter(settings(server, pace=pace))
    texts = [f"mail {number}" for number in range(6)]
    ids = [server.deliver(FLEET, mail(text)).id for text in texts]
    for mail_id in ids:
        server.poison(mail_id, poison)
    async with listening(adapter) as ear:
        await ear.until(lambda: len(ear.heard) == 2)
        assert server.faults_used(poison) >= FETCH_TRIES + 2 * FETCH_TRIES
        server.clear_faults()
        await ear.hears(texts[-1])
    assert ear.texts == texts[2:]
    await adapter.close()


@pytest.mark.parametrize("poison", ["refuse", "cut", "oversize"])
async def test_a_server_that_gives_nothing_for_a_minute_costs_no_mail(
    server: SandboxMailbox, poison: str
) -> None:
    """It answers all but FETCH; however often it is asked meanwhile, the mails wait."""
    pace = replace(HASTY, backoff_first_s=0.01, backoff_most_s=0.02, give_up_s=Pace().give_up_s)
    adapter = ProtonMailAdapter(settings(server, pace=pace))
    texts = [f"mail {number}" for number in range(4)]
    for text in texts:
        server.poison(server.deliver(FLEET, mail(text)).id, poison)
    async with listening(adapter) as ear:
        async with asyncio.timeout(PATIENCE_S):
            while server.faults_used(poison) < 6 * FETCH_TRIES:
                await asyncio.sleep(0.02)
        assert ear.heard == []
        server.clear_faults()
        await ear.hears(*texts)
    assert ear.texts == texts
    await adapter.close()


@pytest.mark.parametrize("behind", [1, 5])
async def test_a_mail_that_alone_is_refused_is_set_aside_sooner(server: SandboxMailbox, behind: int) -> None:
    """Those behind it show that the server gives; two of them are refused as well."""
    pace = replace(HASTY, give_up_s=Pace().give_up_s, give_up_refused_s=0.2)
    adapter = ProtonMailAdapter(settings(server, pace=pace))
    server.poison(server.deliver(FLEET, mail("broken")).id, "refuse")
    texts = [f"mail {number}" for number in range(behind)]
    for text in texts:
        mail_id = server.deliver(FLEET, mail(text)).id
        if text in ("mail 2", "mail 3"):
            server.poison(mail_id, "refuse")
    async with listening(adapter) as ear:
        await ear.hears(texts[-1])
    aside = [event for event in ear.heard if isinstance(event, MailReceived) and event.quarantine]
    assert len(ear.heard) == 1 + behind
    assert len(aside) == (1 if behind == 1 else 3)
    await adapter.close()


def test_the_pace_of_a_real_bridge_lets_no_short_outage_cost_a_mail() -> None:
    assert Pace().give_up_s >= 600
    assert Pace().give_up_refused_s >= 60


@pytest.mark.slow
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

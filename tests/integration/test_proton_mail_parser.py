"""The parser's processes: one that hangs, starves or dies takes one mail along and no other."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.proton_mail import Mail, MailLimits, ProtonMailAdapter, Quarantine
from adapters.proton_mail.parser import PROCESSES, Parser, shared_parser
from fleetprompt.sandbox.mailbox import SandboxMailbox
from tests.listening import listening
from tests.mail_stage import FLEET, mail, settings

LIMITS = MailLimits()
OWN = (FLEET,)
# Four hundred thousand nested tables: a second and more, whatever the machine.
SLOW = mail("<table><tr><td>" * 130_000).replace(b"text/plain", b"text/html")


@pytest.fixture
async def parser() -> AsyncIterator[Parser]:
    built = Parser(LIMITS.parser_memory_bytes, processes=1)
    built.use()
    yield built
    await built.leave()


def is_alive(pid: int) -> bool:
    """Whether it runs; one that nobody has buried yet does not."""
    try:
        os.kill(pid, 0)
        status = Path(f"/proc/{pid}/stat")
        return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def environment_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


async def test_some_mails_come_back_in_their_order(parser: Parser) -> None:
    read = await parser.parse_all([mail(f"mail {number}") for number in range(50)], OWN, LIMITS)
    assert [one.text for one in read if isinstance(one, Mail)] == [f"mail {number}" for number in range(50)]


async def test_a_mail_that_takes_too_long_is_set_aside_and_the_others_are_read(parser: Parser) -> None:
    await parser.parse(mail("warm"), OWN, LIMITS)
    hasty = replace(LIMITS, parse_s=0.3)
    before, slow, after = await parser.parse_all([mail("before"), SLOW, mail("after")], OWN, hasty)
    assert isinstance(before, Mail)
    assert isinstance(slow, Quarantine)
    assert slow.reason == "too_slow"
    assert isinstance(after, Mail)


async def killed(parser: Parser, already: frozenset[int] = frozenset()) -> frozenset[int]:
    """Kill the next process that is there; returns all that were killed."""
    async with asyncio.timeout(20):
        while not parser.process_ids - already:
            await asyncio.sleep(0.01)
    [pid] = parser.process_ids - already
    os.kill(pid, signal.SIGKILL)
    return already | {pid}


async def test_a_process_that_is_killed_takes_no_mail_along(parser: Parser) -> None:
    await parser.parse(mail("warm"), OWN, LIMITS)
    patient = replace(LIMITS, parse_s=60)
    reading = asyncio.create_task(parser.parse_all([mail("before"), SLOW, mail("after")], OWN, patient))
    await asyncio.sleep(0.2)
    await killed(parser)
    assert [type(one) for one in await reading] == [Mail, Mail, Mail]


async def test_a_mail_over_which_two_parsers_die_is_set_aside_and_the_next_one_is_read(
    parser: Parser,
) -> None:
    await parser.parse(mail("warm"), OWN, LIMITS)
    reading = asyncio.create_task(parser.parse_all([SLOW, mail("after")], OWN, replace(LIMITS, parse_s=60)))
    await asyncio.sleep(0.2)
    await killed(parser, await killed(parser))
    slow, after = await reading
    assert isinstance(slow, Quarantine)
    assert slow.reason == "parser_died"
    assert isinstance(after, Mail)


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_process_that_died_while_nobody_needed_it_costs_no_mail(
    parser: Parser, is_known: bool
) -> None:
    """Also when the loop has not heard of its death yet."""
    await parser.parse(mail("warm"), OWN, LIMITS)
    dead = await killed(parser)
    if is_known:
        await asyncio.sleep(0.3)
    found = await parser.parse_all([mail("one"), mail("two")], OWN, LIMITS)
    assert [one.text for one in found if isinstance(one, Mail)] == ["one", "two"]
    assert len(parser.process_ids) == 1
    assert not parser.process_ids & dead


async def test_an_account_with_a_backlog_of_slow_mails_leaves_another_one_its_parser() -> None:
    parser = Parser(LIMITS.parser_memory_bytes, processes=2)
    parser.use()
    slow, quick = parser.share(), parser.share()
    patient = replace(LIMITS, parse_s=60)
    await asyncio.gather(*[one.parse_all([mail("warm")], OWN, LIMITS) for one in (slow, quick)])
    backlog = [asyncio.create_task(slow.parse_all([SLOW], OWN, patient)) for _ in range(4)]
    await asyncio.sleep(0.1)
    await quick.parse_all([mail("quick")], OWN, LIMITS)
    assert not any(task.done() for task in backlog)
    assert len(parser.process_ids) == 2
    await asyncio.gather(*backlog)
    await parser.leave()


async def test_two_accounts_on_one_parser_of_which_one_has_slow_mails_waiting() -> None:
    """The whole way: the one alone never has all processes, and the other's mail is told before the backlog is."""
    async with SandboxMailbox() as server:
        for address in (FLEET, "fleet@globex.example"):
            server.create_account(address)
        for number in range(12):
            html = mail(f"<p>{number}</p>" + "<table><tr><td>" * 25_000)
            server.deliver(FLEET, html.replace(b"text/plain", b"text/html"))
        busy, other = (ProtonMailAdapter(settings(server, one)) for one in (FLEET, "fleet@globex.example"))
        async with listening(busy) as slow:
            await slow.until(lambda: len(slow.heard) >= 2)
            assert 1 <= len(shared_parser(LIMITS.parser_memory_bytes).process_ids) < PROCESSES
            server.deliver("fleet@globex.example", mail("quick"))
            async with listening(other) as quick:
                await quick.hears("quick")
            assert len(slow.heard) < 12
            await slow.until(lambda: len(slow.heard) == 12)
        await busy.close()
        await other.close()


@pytest.mark.skipif(sys.platform != "linux", reason="the limit holds on Linux alone")
async def test_a_mail_that_takes_too_much_memory_is_set_aside() -> None:
    starved = Parser(150 * 1024 * 1024, processes=1)
    starved.use()
    big = mail("x" * 100_000_000)
    found, after = await starved.parse_all([big, mail("after")], OWN, replace(LIMITS, mail_bytes=200_000_000))
    assert isinstance(found, Quarantine)
    assert found.reason in ("parser_died", "too_much_memory")
    assert isinstance(after, Mail)
    await starved.leave()


@pytest.mark.skipif(sys.platform != "linux", reason="its environment can be read on Linux alone")
async def test_the_process_knows_no_secret_of_ours(parser: Parser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETPROMPT_MASTER_KEY", "hunter2")
    await parser.parse(mail("warm"), OWN, LIMITS)
    [pid] = parser.process_ids
    known = environment_of(pid)
    assert b"PYTHONPATH" in known
    assert b"hunter2" not in known


async def test_the_last_one_who_leaves_stops_the_processes() -> None:
    parser = shared_parser(LIMITS.parser_memory_bytes)
    assert shared_parser(LIMITS.parser_memory_bytes) is parser
    for _ in range(2):
        parser.use()
    await parser.parse(mail("warm"), OWN, LIMITS)
    await parser.leave()
    [pid] = parser.process_ids
    assert is_alive(pid)
    await parser.leave()
    assert not parser.process_ids
    assert not is_alive(pid)


async def test_when_we_die_the_process_ends_by_itself() -> None:
    code = (
        "import asyncio, os\n"
        "from adapters.proton_mail import MailLimits\n"
        "from adapters.proton_mail.parser import Parser\n"
        "async def main():\n"
        "    parser = Parser(MailLimits().parser_memory_bytes)\n"
        "    parser.use()\n"
        "    await parser.parse(b'Subject: x\\r\\n\\r\\ny', (), MailLimits())\n"
        "    print(*parser.process_ids, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ours = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE, env=environment
    )
    assert ours.stdout is not None
    pid = int(await ours.stdout.readline())
    ours.kill()
    await ours.wait()
    async with asyncio.timeout(10):
        while is_alive(pid):
            await asyncio.sleep(0.05)

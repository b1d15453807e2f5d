"""A Bridge that is away is asked less and less often, and at once again after it gave something."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from adapters.contract import Cursor, SilentObserver
from adapters.errors import Unreachable
from adapters.proton_mail import Mail, MailLimits, MailReceived, Pace, ProtonMailSettings
from adapters.proton_mail import listen as listening
from adapters.proton_mail.fetch import NOT_GIVEN
from adapters.proton_mail.listen import Listener
from adapters.proton_mail.normalise import Fetched, received
from adapters.proton_mail.parse import parse
from adapters.proton_mail.parser import Parser
from tests.mail_stage import FLEET, mail

FIRST_S, MOST_S = 0.5, 20.0
PACE = Pace(backoff_first_s=FIRST_S, backoff_most_s=MOST_S, poll_s=7.0)
SETTINGS = ProtonMailSettings(FLEET, "x", "", start_at_ms=1, pace=PACE)
CEILINGS = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, MOST_S, MOST_S]


def given(number: int) -> MailReceived:
    """A mail that the server gave."""
    raw = mail("hello", message_id=f"<{number}@customer.example>")
    read = parse(raw, SETTINGS.own_addresses, MailLimits())
    assert isinstance(read, Mail)
    return received(Fetched("INBOX", 1, number, 1, raw, len(raw)), read, SETTINGS)


class _Connection:
    offers_idle = False

    async def close(self) -> None:
        """Nothing is open."""


class _Reader:
    """One mail, and the connection breaks."""

    def __init__(self, told: MailReceived) -> None:
        self._told = told

    async def news(self, _: object, __: str) -> AsyncIterator[MailReceived]:
        yield self._told
        raise Unreachable("imap: cut")


class Weather:
    """A server that can be reached at these tries alone (from 1), each time for one mail. waits: between the tries."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, gives_at: tuple[int, ...] = ()) -> None:
        self.waits: list[float] = []
        self.tries = 0
        self._gives_at = gives_at
        share = Parser(memory_bytes=1).share()
        self.listener = Listener(SETTINGS, share, SilentObserver(), Cursor(""), lambda: 1)
        monkeypatch.setattr(listening, "connect", self._connect)
        monkeypatch.setattr(self.listener, "_pause", self._pause)

    def tells(self, monkeypatch: pytest.MonkeyPatch, told: MailReceived) -> None:
        """When it can be reached."""
        monkeypatch.setattr(self.listener, "_reader", _Reader(told))

    async def lasts(self, tries: int) -> list[float]:
        """The waits after so many tries."""
        self._most = tries
        async for _ in self.listener.events():
            pass
        return self.waits

    async def _connect(self, _: ProtonMailSettings) -> _Connection:
        self.tries += 1
        if self.tries not in self._gives_at:
            raise Unreachable("imap: away")
        return _Connection()

    async def _pause(self, seconds: float) -> None:
        self.waits.append(seconds)
        if len(self.waits) == self._most:
            await self.listener.stop()


def assert_within(waits: list[float], ceilings: list[float]) -> None:
    assert [True] * len(ceilings) == [
        ceiling / 2 <= wait <= ceiling for wait, ceiling in zip(waits, ceilings, strict=True)
    ], waits


async def test_each_wait_is_twice_as_long_up_to_the_most(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = await Weather(monkeypatch).lasts(len(CEILINGS))
    assert_within(waits, CEILINGS)


async def test_waits_differ_so_that_nobody_comes_back_in_step(monkeypatch: pytest.MonkeyPatch) -> None:
    at_most = (await Weather(monkeypatch).lasts(400))[6:]
    assert min(at_most) < 0.6 * MOST_S
    assert max(at_most) > 0.9 * MOST_S


async def test_a_long_outage_is_still_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = await Weather(monkeypatch).lasts(3000)  # 2.0 ** 3000 is no float
    assert MOST_S / 2 <= waits[-1] <= MOST_S


async def test_after_the_server_gave_a_mail_the_waits_start_over(monkeypatch: pytest.MonkeyPatch) -> None:
    weather = Weather(monkeypatch, gives_at=(6,))
    weather.tells(monkeypatch, given(1))
    waits = await weather.lasts(8)
    assert_within(waits, [*CEILINGS[:5], *CEILINGS[:3]])


async def test_a_mail_that_is_never_given_starts_nothing_over(monkeypatch: pytest.MonkeyPatch) -> None:
    weather = Weather(monkeypatch, gives_at=(6,))
    weather.tells(monkeypatch, replace(given(1), mail=None, quarantine=NOT_GIVEN))
    waits = await weather.lasts(8)
    assert_within(waits, CEILINGS)

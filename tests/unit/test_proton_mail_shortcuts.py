"""What is told sooner of ordinary mails is what is told of all others."""

from __future__ import annotations

import random
import signal
import threading
from email.utils import mktime_tz, parsedate_tz

import pytest

from adapters.proton_mail.parse_body import _has_few_others, _is_seen
from adapters.proton_mail.parse_fields import headers_of
from adapters.proton_mail.parse_headers import _PLAIN_DATE, date_ms
from adapters.proton_mail.parse_html import squeezed_lines
from adapters.proton_mail.parse_limits import _Bell, keep_bell, within
from adapters.proton_mail.parse_reply import _bare_length
from adapters.proton_mail.parse_style import MAX_KNOWN_SHEETS_CHARS, rules_of

WORDS = (
    *("Dana", "dana", "wrote:", "(order)", "order", "orders", "a", "it", "<dana@x.example>", "x.example", "Stra\u00dfe", "STRASSE"),
    *("caf\u00e9", "\u212aelvin", "kelvin", "_", "under_score", "2026,", "2026", "ignore", "\u0345", "\u0399ota", "iota", ">", ">>order"),
)  # fmt: skip
BLANKS = (" ", " ", " ", "\n", "\n> ", "\n>", "\n\n", "\u00a0", "\t", "  ", "\x1c")


def words_of(chance: random.Random, count: int) -> list[str]:
    return chance.choices(WORDS, k=count)


@pytest.mark.parametrize("seed", range(40))
def test_what_is_seen_at_once_holds_nothing_else(seed: int) -> None:
    chance = random.Random(seed)
    told_at_once = 0
    for _ in range(100):
        words = words_of(chance, chance.randint(1, 30))
        kept = [word for word in words if chance.random() > chance.choice((0, 0, 0.05, 0.3))]
        plain = "".join(word + chance.choice(BLANKS) for word in words)
        seen = "".join(
            word + chance.choice(BLANKS[: chance.choice((3, len(BLANKS)))])
            for word in [*words_of(chance, chance.randint(0, 3)), *kept]
        )
        if _is_seen(plain, seen):
            told_at_once += 1
            assert _has_few_others(plain, seen), (plain, seen)
    assert told_at_once


def test_an_order_in_the_plain_version_alone_is_never_seen_at_once() -> None:
    shown = "\n".join(f"This is line {number} of what Dana writes." for number in range(200))
    assert _is_seen(shown, shown.replace("\n", " \n "))
    assert not _is_seen(f"{shown}\nIgnore it.", shown)
    assert not _is_seen(f"Ignore it.\n{shown}", shown)
    assert not _is_seen(shown.replace("line 7 of", "line 7 obey of"), shown)


def test_of_very_many_other_words_none_is_looked_for() -> None:
    """Each look goes through all of the HTML: a long line of words that are not there would take minutes."""
    words = [f"word{number}" for number in range(100_000)]
    assert not _is_seen(" ".join(words), " ".join(f"{word}s" for word in words))


DATES = (
    "Sat, 21 Nov 2026 10:00:00 +0000",
    "Sat, 21 Nov 2026 10:00:00 +0000 (UTC)",
    "1 Jan 1970 00:00:00 +0000",
    "1 Jan 1970 00:00:01 +0000",
    "Mon, 31 Feb 2024 99:61:61 -1234",
    "Tue, 29 Feb 2000 23:59:60 +1400",
    "00 Mar 2001 00:00:00 -0000",
    "1 Dec 2999 00:00:00 +9999",
    "sat, 21 nov 2026 10:00:00 +0000",
    "Sat, 21 Nov 26 10:00:00 GMT",
    "Sat,21 Nov 2026 10:00 +0100",
    "21 November 2026 10:00:00 +0100",
    "Nov 21 2026 10:00:00 +0100",
)


def by_library(text: str) -> int:
    parsed = parsedate_tz(text)
    stamp = 0 if parsed is None else mktime_tz(parsed) * 1000
    return stamp if 0 < stamp < 1 << 50 else 0


@pytest.mark.parametrize("text", DATES)
def test_a_date_is_the_one_that_the_library_reads(text: str) -> None:
    assert date_ms(headers_of(f"Date: {text}".encode())) == by_library(text)


def test_every_day_is_the_one_that_the_library_reads() -> None:
    chance = random.Random(7)
    for _ in range(2000):
        text = (
            f"{chance.choice(('', 'Fri, '))}{chance.randint(0, 39)} {chance.choice(('Jan', 'Feb', 'May', 'Sep', 'Dec'))} "
            f"{chance.randint(1970, 2999)} {chance.randint(0, 99):02}:{chance.randint(0, 99):02}:{chance.randint(0, 99):02} "
            f"{chance.choice('+-')}{chance.randint(0, 9999):04}"
        )
        assert _PLAIN_DATE.fullmatch(text)
        assert date_ms(headers_of(f"Date: {text}".encode())) == by_library(text), text


@pytest.mark.parametrize(
    "text", ["", "a b\tc\n", "\x1c\x1d\x1e\x1f\x0b\x0cx", "\x85\u00a0\u00e9 x", "\u2003\u3000\u20ac x", "   "]
)
def test_blanks_are_what_the_language_takes_for_them(text: str) -> None:
    assert _bare_length(text) == len("".join(text.split()))


@pytest.mark.parametrize("text", ["a \r\nb\r\r\n\r\n\n\nc\r", "\r\n", "x\u00a0\n\x0b\ny\x85", "a\n \n \n b "])
def test_lines_end_the_same_with_either_break(text: str) -> None:
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").split("\n")]
    joined = "\n".join(lines)
    while "\n\n\n" in joined:
        joined = joined.replace("\n\n\n", "\n\n")
    assert squeezed_lines(text) == joined.strip()


def test_sheets_that_are_known_are_read_as_those_that_are_not() -> None:
    sheet = "p { display: none } .a { color: #fff } @media print { b { display: none } }"
    long = sheet + " " * MAX_KNOWN_SHEETS_CHARS
    assert rules_of([(sheet, "")]) == rules_of([(sheet, "")]) == rules_of([(long, "")])
    assert rules_of([(sheet, "print")]) == ()
    assert [one.selector for one in rules_of([(sheet, "")])] == ["p", ".a"]


def test_a_kept_bell_stops_what_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGALRM)
    monkeypatch.setattr(_Bell, "is_kept", False)
    try:
        keep_bell()
        ring = signal.getsignal(signal.SIGALRM)
        assert within(5.0, lambda: "done", lambda: "late") == "done"
        assert within(0.05, lambda: str(threading.Event().wait(30)), lambda: "late") == "late"
        assert signal.getsignal(signal.SIGALRM) is ring
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    finally:
        signal.signal(signal.SIGALRM, before)

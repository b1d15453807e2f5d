"""What is read of headers at once is what the standard library reads of them."""

from __future__ import annotations

import itertools
import random

import pytest

from adapters.proton_mail.parse_fields import Headers, by_library, headers_of, structured
from adapters.proton_mail.parse_structure import Part

WELL_FORMED = (
    "text/plain",
    "TEXT/Html; charset=UTF-8",
    'text/plain; charset="utf-8"; format=flowed; delsp=yes',
    'multipart/alternative;\r\n boundary="----=_Part_1.2(3)"',
    "multipart/mixed;\n\tboundary=00000000000012ab?=x:y",
    'application/pdf; name="a b.pdf"',
    'attachment; filename="r\'s (1), 100%.pdf"; size=10',
    'attachment; filename="=?utf-8?q?=E4?="',
    'inline; filename=""',
    'attachment; filename="  a  "',
    "attachment",
    "Filename; name=a; name=b",
    "text/plain/x; charset=a; CHARSET=b",
    "text; charset=x",
)
ODD = (
    "text/plain; charset*=utf-8''%E4",
    "text/plain; name*0=a; name*1=b; name*2*=%00",
    'text/plain; charset="a\\"b"',
    'text/plain; boundary="a;b"',
    "text/plain; charset=<utf-8>",
    'attachment; filename="<a>"',
    "text/plain; charset = utf-8",
    "text/plain ; charset=utf-8",
    "text/plain; charset=utf-8 (comment)",
    "(comment) text/plain",
    "text/plain; charset=",
    "text/plain; charset",
    'text/plain; charset="utf-8',
    'text/plain; charset=utf-8"',
    'text/plain; charset="a"b"',
    "text/plain;; charset=utf-8;",
    "text/plain, charset=utf-8",
    'text/plain; name="a\r\n b"',
    "text/plain; name=\u00e4",
    'text/plain; name="\u00e4"',
    "text/plain; name=a\x0bb",
    "; charset=utf-8",
    "=; name=x",
    "",
)
LINES = (
    b"Subject: hi",
    b"Subject:hi \t",
    b"SUBJECT: \t again",
    b"Subject:",
    b"Subject: a\r\n b\r\n\tc",
    b"Subject: a\n \n b",
    b"Subject:\r\n a",
    b"Subject: \r\n\ta",
    b"X!#$-Y: 1",
    b"X Y: 2",
    b"X-A : 3",
    b": nameless",
    b"no colon",
    b" continued",
    b"From a@b Sat",
    b"From: a@x.example",
    b"X-B: \xe4",
    b"X-\xe4: b",
    b"X-C: a\rb",
    b"X-D: a\x0bb\x0c\x1c\x85",
    b"",
)


def as_the_library_has_it(content_type: bytes, disposition: bytes) -> tuple[str, str, str, str, str]:
    block = b"Content-Type: %s\r\nContent-Disposition: %s" % (content_type, disposition)
    slow = by_library(block)
    slow.structured = lambda name: None  # type: ignore[method-assign]
    return told(slow)


def told(headers: Headers) -> tuple[str, str, str, str, str]:
    part = Part(headers, 0, 0, 0)
    return (
        part.type,
        part.disposition,
        part.parameter("charset"),
        part.parameter("boundary"),
        part.filename(),
    )


@pytest.mark.parametrize("value", WELL_FORMED)
def test_well_formed_values_need_no_library(value: str) -> None:
    assert structured(value) is not None


@pytest.mark.parametrize("value", ODD)
def test_odd_values_are_left_to_the_library(value: str) -> None:
    assert structured(value) is None


def test_what_is_told_of_a_part_is_the_same() -> None:
    values = [one.encode() for one in (*WELL_FORMED, *ODD)]
    for content_type, disposition in itertools.product(values, values):
        block = b"Content-Type: %s\r\nContent-Disposition: %s" % (content_type, disposition)
        assert told(headers_of(block)) == as_the_library_has_it(content_type, disposition), block


@pytest.mark.parametrize("seed", range(20))
def test_headers_are_the_same(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(100):
        lines = chance.choices(LINES[: chance.choice((4, 9, len(LINES)))], k=chance.randint(1, 5))
        block = chance.choice((b"\r\n", b"\n")).join(lines)
        assert list(headers_of(block).raw_items()) == list(by_library(block).raw_items()), block
        assert [str(one) for one in headers_of(block).get_all("subject", [])] == [
            str(value) for name, value in by_library(block).items() if name.lower() == "subject"
        ]


def test_a_header_that_is_not_there() -> None:
    headers = headers_of(b"Subject: hi")
    assert headers.get("To") is None
    assert headers.get_all("To", []) == []
    assert "to" not in headers
    assert "SUBJECT" in headers
    assert Part(headers, 0, 0, 0).type == "text/plain"
    assert Part(headers, 0, 0, 0).filename() == ""


@pytest.mark.parametrize(
    "block",
    [
        b"X:" + b" " * 200_000 + b"\r",
        b"X: a" + b"\r\n " * 9000 + b"\rz",
        b"X:" + b" \t" * 100_000 + b"\n x\r",
    ],
    ids=["blanks", "lines", "both"],
)
def test_as_many_blanks_as_somebody_likes_are_gone_through_once(block: bytes) -> None:
    """It would take minutes otherwise."""
    assert list(headers_of(block).raw_items()) == list(by_library(block).raw_items())

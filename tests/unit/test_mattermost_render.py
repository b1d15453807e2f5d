"""A model's text on its way into a channel."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.mattermost.mentions import mentions
from adapters.mattermost.render import ZERO_WIDTH, defuse, split

NAMES = ("all", "here", "channel", "dana")


@pytest.mark.parametrize(
    "text",
    [
        "@all",
        "hi @dana, and (@here)",
        "cc:@channel.",
        "x.@all",
        "_@all_ **@dana**",
        "\\@all",
        "&#64;all &commat;here &#x40;dana",
        "@&#97;ll",
        "`a\n\n@all`",
        "``@all`",
        "\\`@all`",
        "> ```\n> @all\n> ```",
        "- ```\n@all",
        "1. x\n   ```\n   code\n@here\n   ```",
        "a\u2028```\n@all",
        "text\n    ```\n    @all",
        '"https://example.org/@all"',
        "https://@all",
        "[x](y) @all",
        "``` `\n@all\n```",
        "a\r```\r```\r@all",
    ],
)
def test_nobody_is_notified(text: str) -> None:
    assert not any(mentions(name, [defuse(text)]) for name in NAMES)


@pytest.mark.parametrize(
    "text",
    [
        "write to fleet@example.org or a.b+c@example.org",
        "`@all` and ``x`@here``",
        "```python\n@dataclass\nclass A: ...\n```",
        "~~~\n@all\n~~~",
        "- step\n  ```python\n  @property\n  ```",
        "see https://example.org/@dana/post and [her](https://example.org/@dana)",
        "5 @ 3 EUR",
        "plain",
        "",
    ],
)
def test_code_addresses_and_mail_stay_as_they_are(text: str) -> None:
    assert defuse(text) == text


def test_a_defused_name_looks_as_before() -> None:
    assert defuse("ask @dana") == f"ask @{ZERO_WIDTH}dana"


MARKS = [
    "`",
    "``",
    "```",
    "~~~",
    "\n",
    "\n\n",
    " ",
    "  ",
    "    ",
    "- ",
    "1. ",
    "> ",
    "\\",
    "_",
    "*",
    ".",
    ":",
    "<",
    ">",
]
WORDS = ["@all", "@", "all", "here", "a", "&#64;", "(", "[", "](", "]", "http://a/"]


@given(st.lists(st.sampled_from(MARKS + WORDS), max_size=18))
def test_no_arrangement_of_marks_lets_a_mention_through(pieces: list[str]) -> None:
    assert not any(mentions(name, [defuse("".join(pieces))]) for name in NAMES)


def test_what_fits_stays_whole() -> None:
    assert split("short\n\ntext", 100) == ["short\n\ntext"]


@pytest.mark.parametrize("text", ["", "  \n ", "\n\n"])
def test_nothing_to_see_gives_no_part(text: str) -> None:
    assert split(text, 100) == []


def test_cuts_fall_on_paragraphs_then_lines_then_words() -> None:
    assert split("a" * 60 + "\n\n" + "b" * 60, 100) == ["a" * 60, "b" * 60]
    assert split("a" * 60 + "\n" + "b" * 60, 100) == ["a" * 60, "b" * 60]
    assert split("a" * 60 + " " + "b" * 60, 100) == ["a" * 60, "b" * 60]
    assert split("x" * 250, 100) == ["x" * 100, "x" * 100, "x" * 50]


def test_a_code_block_is_closed_and_opened_again_with_its_language() -> None:
    code = "\n".join(f"print({number:04})" for number in range(30))
    parts = split(f"Here:\n```python\n{code}\n```\nDone.", 120)
    assert len(parts) > 2
    for part in parts:
        assert len(part) <= 120
        assert part.count("```") % 2 == 0
    assert all(part.startswith("```python\n") for part in parts[1:])
    assert re.findall(r"print\(\d+\)", "\n".join(parts)) == code.split("\n")


def test_no_empty_code_block_is_left_at_the_end_of_a_part() -> None:
    parts = split("w" * 80 + "\n```python\n" + "x" * 60 + "\n```", 100)
    assert parts == ["w" * 80, "```python\n" + "x" * 60 + "\n```"]


def test_signs_of_several_runes_are_not_parted() -> None:
    family = "👩\u200d👩\u200d👧"
    for part in split(family * 40, 64):
        assert part.replace(family, "") == ""
    assert all(not part.startswith("\u0301") for part in split("e\u0301" * 60, 65))


def test_parts_too_small_for_fences_are_refused() -> None:
    with pytest.raises(ValueError, match="64"):
        split("text", 63)


@given(
    st.lists(
        st.sampled_from(
            [
                "word ",
                "\n",
                "\n\n",
                "```\n",  # never a bare one: what follows it on the line is its language, which is repeated
                "```python\n",
                "~~~\n",
                "`````\n",
                "  ```\n",
                "x" * 50,
                " ",
                "`" * 80,
                "é\u0301",
                "\r\n",
            ]
        ),
        max_size=60,
    ),
    st.integers(64, 130),
)
def test_every_part_fits_and_no_word_is_lost(pieces: list[str], limit: int) -> None:
    text = "".join(pieces)
    parts = split(text, limit)
    assert all(0 < len(part) <= limit for part in parts)
    letters = re.compile(r"[xwrd]")  # none of them in "python", which is repeated
    assert letters.findall("".join(parts)) == letters.findall(text)

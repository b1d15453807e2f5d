"""What holds for any message to the builtin planner."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetprompt.kernel.clock import monotonic_s
from tests.planner_tools import EFFECTS, SIGN, acted, ask

FOREIGN = (
    "not never no don't won't if when unless maybe tomorrow later yesterday bob he she i we should why who what was were "
    "except without instead before after almost undo stop cancel release unless said says asked wants but or nor all "
    "every another similar fake test example joke bitte nicht pas ne keine"
)
WORDS = st.sampled_from(FOREIGN.split())
COMMANDS = st.sampled_from(
    ["put order 1042 on hold", "hold order 1042", "refund 20 for order 1042", 'post "hi" in #general']
)


@settings(max_examples=300, deadline=None)
@given(COMMANDS, WORDS, st.integers(0, 6))
def test_one_foreign_word_anywhere_stops_a_change(command: str, word: str, position: int) -> None:
    words = command.split()
    words.insert(min(position, len(words)), word)
    reply = ask(" ".join(words))
    assert not [call for call in reply.calls if call.name in EFFECTS], " ".join(words)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_any_text_gets_an_answer_and_no_change(text: str) -> None:
    reply = ask(text)
    assert not [call for call in reply.calls if call.name in EFFECTS]
    json.dumps(reply.raw)


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=20),
        lambda x: st.lists(x) | st.dictionaries(st.text(max_size=5), x),
        max_leaves=20,
    )
)
def test_any_result_can_be_told(content: Any) -> None:
    first = ask("where is order 1042")
    assert ask("where is order 1042", *acted(first, json.dumps(content))).text.endswith(SIGN)


HOSTILE = [
    "a, ",
    "x. ",
    "1,",
    "a-",
    "a.b@",
    "'",
    '"a',
    "\n",
    "-",
    "because ",
    "tell that and ",
    "order 1042 on hold, ",
    ">",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_longest_message_does_not_hold_up_the_others(piece: str) -> None:
    text = (piece * 16_383)[:16_383]  # the longest post of a chat server
    started = monotonic_s()
    assert ask(text, text).text.endswith(SIGN)
    assert monotonic_s() - started < 3.0  # 0.2 s on a free machine

"""The builtin planner: what it must understand, and what must never move it."""

from __future__ import annotations

import pytest

from tests.planner_tools import EFFECTS, Calls, ask, calls

STATUS: Calls = [("order_status", {"number": "1042"})]
HOLD: Calls = [("order_hold", {"number": "1042"})]


def hold(reason: str) -> Calls:
    return [("order_hold", {"number": "1042", "reason": reason})]


SIMPLE: list[tuple[str, Calls]] = [
    ("where is order 1042", STATUS),
    ("Where is order #1042?", STATUS),
    ("where's order 1042", STATUS),
    ("wheres order 1042?", STATUS),
    ("Where is 1042?", STATUS),
    ("hi @fleet, where is order 1042 please?", STATUS),
    ("@fleet can you look up order 1042 for me?", STATUS),
    ("what's the status of order number 1042", STATUS),
    ("status of order 1042", STATUS),
    ("order status 1042", STATUS),
    ("when will order 1042 arrive?", STATUS),
    ("where is oredr 1042", STATUS),
    ("WHERE IS ORDER 1042!!!", STATUS),
    ("where is order ORD-1042", [("order_status", {"number": "ORD-1042"})]),
    (
        "where are orders 1042, 1043 and 1044?",
        [("order_status", {"number": n}) for n in ("1042", "1043", "1044")],
    ),
    (
        "where is order 1042 and where is order 1043",
        [("order_status", {"number": n}) for n in ("1042", "1043")],
    ),
    ("list open orders", [("order_list", {"status": "open"})]),
    ("which orders are on hold?", [("order_list", {"status": "on_hold"})]),
    ("show me all shipped orders please", [("order_list", {"status": "shipped"})]),
    ("list orders", [("order_list", {})]),
    ("search the handbook for parental leave", [("handbook_search", {"query": "parental leave"})]),
    ("search the handbook for health and safety", [("handbook_search", {"query": "health and safety"})]),
    (
        "what does the handbook say about overtime, weekends and travel?",
        [("handbook_search", {"query": "overtime, weekends and travel"})],
    ),
    ('search handbook for "sick days"', [("handbook_search", {"query": "sick days"})]),
    ("put order 1042 on hold", HOLD),
    ("Put order #1042 on hold.", HOLD),
    ("please put the order 1042 on hold now", HOLD),
    ("Hi! Could you put order 1042 on hold? Thanks!", HOLD),
    ("hold order 1042", HOLD),
    ("put order no. 1042 on hold", HOLD),
    ("put a hold on order 1042", HOLD),
    ("put order number 1042 on hold because the customer asked", hold("the customer asked")),
    ("hold order 1042 because she didn't pay, twice", hold("she didn't pay, twice")),
    ("because the customer asked, put order 1042 on hold", hold("the customer asked")),
    ("put order 1042 on hold due to a missing address", hold("a missing address")),
    ("put orders 1042 and 1043 on hold", [("order_hold", {"number": n}) for n in ("1042", "1043")]),
    ("refund 20 for order 1042", [("order_refund", {"number": "1042", "amount": 20.0})]),
    ("please refund 19.90 for order 1042", [("order_refund", {"number": "1042", "amount": 19.9})]),
    ('post "we are live" in #general', [("channel_post", {"channel": "general", "text": "we are live"})]),
    ("post we are live in ~general", [("channel_post", {"channel": "general", "text": "we are live"})]),
    (
        "close ticket 77 because it is solved",
        [("ticket_close", {"ticket_id": 77, "reason": "it is solved"})],
    ),
    ("order_hold number=1042", HOLD),
    ('/order_hold number=1042 reason="as agreed"', hold("as agreed")),
    ('run order_hold {"number": "1042"}', HOLD),
    (
        "ticket_close ticket_id=77 reason='it is solved'",
        [("ticket_close", {"ticket_id": 77, "reason": "it is solved"})],
    ),
]


@pytest.mark.parametrize(("text", "expected"), SIMPLE, ids=[row[0] for row in SIMPLE])
def test_simple_request_becomes_the_right_calls(text: str, expected: Calls) -> None:
    reply = ask(text)
    assert calls(reply) == expected, reply.text
    assert reply.finish == "tool_call"


NASTY = [
    # negated, past, hypothetical, conditional, reported, asked about
    "don't put order 1042 on hold",
    "do not put order 1042 on hold!",
    "never put order 1042 on hold",
    "please don’t hold order 1042",
    "should I put order 1042 on hold?",
    "should we hold order 1042",
    "can I put order 1042 on hold?",
    "put order 1042 on hold?",
    "is order 1042 on hold",
    "order 1042 on hold",
    "order 1042 is on hold.",
    "I put order 1042 on hold yesterday",
    "who put order 1042 on hold?",
    "why did you put order 1042 on hold",
    "bob said put order 1042 on hold",
    "bob, put order 1042 on hold",
    "@bob put order 1042 on hold",
    "tell bob to put order 1042 on hold",
    "what happens if I put order 1042 on hold",
    "put order 1042 on hold if bob agrees",
    "put order 1042 on hold unless bob says no",
    "put order 1042 on hold but wait for bob",
    "put order 1042 on hold. Never mind.",
    "put order 1042 on hold because he asked, but don't do it yet",
    "put order 1042 on hold tomorrow",
    "put order 1042 on hold, not 1043",
    "put all orders except 1042 on hold",
    "take order 1042 off hold",
    "release order 1042 from hold",
    "un-hold order 1042",
    # quoted or cited
    '"put order 1042 on hold"',
    "he wrote 'put order 1042 on hold' again",
    "> put order 1042 on hold",
    "```\nput order 1042 on hold\n```",
    "how do I say: put order 1042 on hold",
    # incomplete or mixed up
    "put order on hold",
    "put it on hold",
    "put that order on hold please",
    "hold",
    "order_hold",
    "put ticket 77 on hold",
    "put order no 1042 on hold",
    "no put order 1042 on hold",
    "refund 1042 20",
    "refund order 1042 20",
    "refund order 1042 with 20",
    'post not "hi" in #general',
    "put invoice 1042 on hold",
    "close ticket 77",
    "close order 1042 because it is solved",
    "close the door",
    "refund order 1042",
    "refund 20",
    "refund 1042",
    "refund 20 30 for order 1042",
    "refund 20 for order 1042 order 1043",
    "refund order 1042 and 1043",
    "post in #general",
    "post hello",
    # two readings, or one part that is not understood
    "put order 1042 on hold and fire bob",
    "fire bob and put order 1042 on hold",
    "The customer called. Put order 1042 on hold.",
    "put order 1042 on hold because he asked and close ticket 77 because it is solved",
    "post thanks and put order 1042 on hold in #general",
    "where is the moon and put order 1042 on hold",
    "order_hold number=1042 force=yes",
    "order_hold number=1042 and then refund 20",
    'run order_hold {"number": ',
    "put order 1042\u200b on hold\u202e not",
    "ho1d order 1042",
    "hold hold hold",
    "put 1042",
    "on hold",
    "",
    "?",
    "👍",
    "@fleet",
    "x " * 3000,
    "put order 1042 on hold " * 50,
]


@pytest.mark.parametrize("text", NASTY, ids=[text[:60] for text in NASTY])
def test_unsure_request_changes_nothing_and_says_something(text: str) -> None:
    reply = ask(text)
    assert not [call for call in reply.calls if call.name in EFFECTS]
    assert reply.calls or "builtin planner" in reply.text


@pytest.mark.parametrize("text", ["help", "hi", "Hello!", "@fleet help", "what can you do?", "thanks"])
def test_help_lists_what_can_be_asked(text: str) -> None:
    reply = ask(text)
    assert not reply.calls
    assert "where is order 1042" in reply.text
    assert "put order 1042 on hold" in reply.text


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("where is order", "Which order number?"),
        ("put an order on hold", "Which order number?"),
        ("put it on hold", "Which order number?"),
        ("close ticket 77", "What is the reason for “ticket close”?"),
        ("search the handbook", "What is the query?"),
        ("refund order 1042", "Which"),
    ],
)
def test_missing_piece_is_asked_for(text: str, question: str) -> None:
    reply = ask(text)
    assert not reply.calls
    assert question in reply.text


def test_near_miss_offers_the_plain_words() -> None:
    assert "`put order 1042 on hold`" in ask("should I put order 1042 on hold?").text


def test_understood_change_beside_an_unknown_wish_is_named_as_undone() -> None:
    text = ask("put order 1042 on hold and fire bob").text
    assert "I did not understand “fire bob”" in text
    assert "left this undone: order hold" in text


def test_offer_invents_no_number_and_no_reason() -> None:
    assert "`put order <number> on hold`" in ask("should I put an order on hold?").text
    assert "the customer asked" not in ask("Please hold 1042").text


def test_every_answer_says_who_answers() -> None:
    for text in ("help", "where is order", "blah", "should I put order 1042 on hold?"):
        assert ask(text).text.endswith("_builtin planner, no language model_")


def test_same_conversation_gives_the_same_step() -> None:
    assert ask("put order 1042 on hold") == ask("put order 1042 on hold")

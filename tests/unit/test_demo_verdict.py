"""The demo's verdict: it has to notice a loss, a double, a wrong order and an answer that nobody asked for."""

from __future__ import annotations

import itertools

from fleetprompt.sandbox.demo.verdict import Ask, Count, answered, count_answers, count_holds
from fleetprompt.sandbox.mattermost import LedgerEntry, Post
from fleetprompt.sandbox.order_desk import Hold

_numbers = itertools.count(1)


def ask(number: str, root_id: str = "", *, is_direct: bool = False) -> Ask:
    post = Post(f"p{next(_numbers)}", 1, 1, "dana", "direct" if is_direct else "support", number, root_id)
    return Ask(post, is_direct, ("order", number))


def reply(to: Ask, text: str) -> LedgerEntry:
    channel_id, root_id = to.where
    number = next(_numbers)
    return LedgerEntry(number, f"p{number}", number, "fleet", channel_id, root_id, text, {}, "", "rest")


def counts(found: Count) -> tuple[int, int, int]:
    """lost, doubled, misplaced"""
    return len(found.lost), len(found.doubled), len(found.misplaced)


def test_each_ask_answered_once_in_order_is_good() -> None:
    first = ask("1042")
    second, direct = ask("1043", first.post.id), ask("1058", is_direct=True)
    answers = [reply(first, "order 1042"), reply(direct, "order 1058"), reply(second, "order 1043")]
    assert answered([first, second, direct], answers)
    assert count_answers([first, second, direct], answers) == Count(3)
    assert count_answers([first, second, direct], answers).is_good


def test_missing_answer_is_lost() -> None:
    first, second = ask("1042"), ask("1043")
    assert not answered([first, second], [reply(first, "order 1042")])
    found = count_answers([first, second], [reply(first, "order 1042")])
    assert found == Count(2, lost=("no answer to '1043'",))


def test_answer_given_twice_is_doubled() -> None:
    first = ask("1042")
    assert counts(count_answers([first], [reply(first, "order 1042")] * 2)) == (0, 1, 0)


def test_a_loss_here_and_a_double_there_do_not_make_up_for_each_other() -> None:
    first, second = ask("1042"), ask("1043")
    found = count_answers([first, second], [reply(first, "order 1042"), reply(first, "order 1042")])
    assert counts(found) == (1, 1, 0)
    assert not found.is_good


def test_answers_of_one_thread_in_the_wrong_order_are_misplaced() -> None:
    first = ask("1042")
    second = ask("1043", first.post.id)
    swapped = [reply(first, "order 1043"), reply(first, "order 1042")]
    assert counts(count_answers([first, second], swapped)) == (0, 0, 2)


def test_answer_where_nobody_asked_is_misplaced() -> None:
    first, chatter = ask("1042"), ask("1043")
    found = count_answers([first], [reply(first, "order 1042"), reply(chatter, "order 1043")])
    assert found == Count(1, misplaced=("answered once too often: 'order 1043'",))


def test_holds_are_counted_by_order() -> None:
    def hold(number: str) -> Hold:
        return Hold(1, "H-1", number, "", "key")

    assert count_holds(["1042", "1051"], [hold("1051"), hold("1042")]).is_good
    assert counts(count_holds(["1042", "1051"], [hold("1042"), hold("1042"), hold("1077")])) == (1, 1, 1)

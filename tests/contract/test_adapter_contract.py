"""What every adapter promises: one suite over all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from adapters.contract import (
    AuthorKind,
    Capability,
    ConnectionState,
    Cursor,
    Edits,
    EventKind,
    KnowsAccounts,
    LooksUp,
    Outbound,
    ReachesOne,
    Types,
)
from adapters.errors import CredentialRefused, OutcomeUnknown, PlaceGone, Refused, Remedy, TooLong
from tests.adapter_stages import AnyAdapter, Stage, open_stage
from tests.listening import States, listening


@pytest.fixture(params=["memory", "mattermost", "proton_mail"])
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    async with open_stage(request.param) as opened:
        yield opened


@pytest.fixture
async def adapter(stage: Stage) -> AsyncIterator[AnyAdapter]:
    built = stage.adapter()
    yield built
    await built.close()


def answer(stage: Stage, text: str = "An answer.", key: str = "directive-1", thread_id: str = "") -> Outbound:
    return Outbound(key, stage.place(thread_id=thread_id), text, first_tried_at_ms=1)


async def test_opening_twice_finds_the_same_account(stage: Stage, adapter: AnyAdapter) -> None:
    first, second = await adapter.open(), await adapter.open()
    assert first.account_key == second.account_key
    assert (first.account_name, first.account_id) == (stage.account_name, second.account_id)
    assert first.max_text_runes >= 4000
    assert first.server_now_ms > 0


async def test_the_same_account_name_elsewhere_has_another_key(stage: Stage, adapter: AnyAdapter) -> None:
    other = stage.elsewhere()
    try:
        assert (await other.open()).account_key != (await adapter.open()).account_key
    finally:
        await other.close()


async def test_closing_is_idempotent_and_needs_no_opening(stage: Stage) -> None:
    adapter = stage.adapter()
    await adapter.close()
    await adapter.close()


async def test_a_closed_adapter_opens_again(stage: Stage, adapter: AnyAdapter) -> None:
    await adapter.open()
    await adapter.close()
    assert (await adapter.open()).account_name == stage.account_name


async def test_a_bad_credential_is_refused_with_advice(stage: Stage) -> None:
    adapter = stage.adapter(good=False)
    with pytest.raises(CredentialRefused) as refused:
        await adapter.open()
    assert refused.value.advice
    assert refused.value.remedy is Remedy.ASK_HUMAN
    await adapter.close()


async def test_check_tells_of_a_bad_credential_and_does_not_raise(stage: Stage) -> None:
    adapter = stage.adapter(good=False)
    failed = [line for line in await adapter.check() if not line.ok]
    assert [line.name for line in failed] == [stage.credential_line]
    assert failed[0].remedy
    await adapter.close()


async def test_check_finds_all_well(adapter: AnyAdapter) -> None:
    assert all(line.ok for line in await adapter.check())


async def test_listening_with_a_bad_credential_ends_with_the_error(stage: Stage) -> None:
    adapter = stage.adapter(good=False)
    async with listening(adapter) as ear:
        await ear.until(lambda: ear.is_over)
    assert isinstance(ear.error, CredentialRefused)
    await adapter.close()


async def test_what_was_missed_comes_first_and_in_order_then_live(stage: Stage) -> None:
    observer = States()
    adapter = stage.adapter(observer)
    for number in range(5):
        stage.says(f"missed {number}")
    async with listening(adapter) as ear:
        await ear.hears("missed 4")
        await observer.reach(ConnectionState.CONNECTED)
        stage.says("live")
        await ear.hears("live")
    assert ear.texts == [*(f"missed {number}" for number in range(5)), "live"]
    came = {event.text: event.caught_up for event in ear.heard}
    assert came["missed 0"]
    assert not came["live"]
    await adapter.close()


async def test_nothing_after_a_cursor_is_lost_and_what_repeats_has_its_old_key(
    stage: Stage, adapter: AnyAdapter
) -> None:
    for number in range(6):
        stage.says(f"message {number}")
    async with listening(adapter) as ear:
        await ear.hears("message 5")
    all_keys = ear.keys
    for kept in range(len(ear.heard)):
        async with listening(adapter, ear.heard[kept].cursor) as again:
            stage.says(f"end {kept}")
            await again.hears(f"end {kept}")
        assert set(all_keys[kept + 1 :]) <= set(again.keys)
        assert len(again.keys) == len(set(again.keys))


async def test_a_cursor_is_printable_and_small(stage: Stage, adapter: AnyAdapter) -> None:
    stage.says("hello")
    async with listening(adapter) as ear:
        await ear.hears("hello")
    assert all(event.cursor.isprintable() and 0 < len(event.cursor) <= 4096 for event in ear.heard)


async def test_a_mention_or_a_direct_message_is_addressed_and_nothing_else(
    stage: Stage, adapter: AnyAdapter
) -> None:
    stage.says("hello all")
    root = stage.says("@fleet hello")
    stage.says("just talking", thread_id=root)
    stage.says("psst", direct=True)
    async with listening(adapter) as ear:
        await ear.hears("hello all", "@fleet hello", "just talking", "psst")
    people = {event.text: event for event in ear.heard if event.author.kind is AuthorKind.PERSON}
    assert {text: event.addressed for text, event in people.items()} == {
        "hello all": False,
        "@fleet hello": True,
        "just talking": False,
        "psst": True,
    }
    assert people["just talking"].place.thread_id == root
    assert people["psst"].place.channel_kind == "direct"
    assert not people["psst"].mentions_us


async def test_an_edit_and_a_deletion_are_told_and_address_nobody(stage: Stage, adapter: AnyAdapter) -> None:
    stage.needs("edits")
    message = stage.says("first")
    async with listening(adapter) as ear:
        await ear.hears("first")
        stage.edits(message, "@fleet second")
        stage.deletes(message)
        await ear.until(lambda: any(event.kind is EventKind.DELETED for event in ear.heard))
    told = [event for event in ear.heard if event.external_id == message]
    assert [event.kind for event in told] == [EventKind.MESSAGE, EventKind.EDITED, EventKind.DELETED]
    assert [event.addressed for event in told] == [False, False, False]
    assert told[1].mentions_us
    assert told[1].text == "@fleet second"
    assert len({event.event_key for event in told}) == 3


async def test_what_the_account_says_itself_is_marked_and_not_addressed(
    stage: Stage, adapter: AnyAdapter
) -> None:
    receipt = await adapter.send(answer(stage, "I am @fleet"))
    async with listening(adapter) as ear:
        await ear.until(lambda: any(event.external_id == receipt.external_id for event in ear.heard))
    own = next(event for event in ear.heard if event.external_id == receipt.external_id)
    assert own.author.kind is AuthorKind.SELF
    assert not own.addressed


async def test_a_message_is_sent_into_its_thread_and_found_by_its_key(
    stage: Stage, adapter: AnyAdapter
) -> None:
    root = stage.says("@fleet question")
    message = answer(stage, thread_id=root)
    assert await adapter.look_up(message) is None
    receipt = await adapter.send(message)
    found = await adapter.look_up(message)
    assert found is not None
    assert (found.external_id, found.found, receipt.found) == (receipt.external_id, True, False)
    assert await adapter.look_up(answer(stage, key="directive-2", thread_id=root)) is None
    assert stage.spoken() == ["An answer."]


async def test_a_lost_answer_is_an_unknown_outcome_and_look_up_settles_it(
    stage: Stage, adapter: AnyAdapter
) -> None:
    await adapter.open()
    stage.lose_next_answer()
    with pytest.raises(OutcomeUnknown) as unknown:
        await adapter.send(answer(stage))
    assert unknown.value.remedy is Remedy.LOOK_UP
    found = await adapter.look_up(answer(stage))
    assert found is not None
    assert found.found
    assert stage.spoken() == ["An answer."]


async def test_the_same_key_again_is_the_same_message(stage: Stage, adapter: AnyAdapter) -> None:
    first = await adapter.send(answer(stage))
    assert (await adapter.send(answer(stage))).external_id == first.external_id
    assert stage.spoken() == ["An answer."]


@pytest.mark.parametrize("text", ["", "  \n"])
async def test_an_empty_message_is_never_sent(stage: Stage, adapter: AnyAdapter, text: str) -> None:
    with pytest.raises(Refused):
        await adapter.send(answer(stage, text))
    assert stage.spoken() == []


async def test_the_longest_message_is_sent_and_a_longer_one_refused(
    stage: Stage, adapter: AnyAdapter
) -> None:
    await adapter.send(answer(stage, "é" * stage.max_runes))
    with pytest.raises(TooLong):
        await adapter.send(answer(stage, "é" * (stage.max_runes + 1), key="directive-2"))
    assert len(stage.spoken()) == 1


async def test_a_closed_channel_is_given_up(stage: Stage, adapter: AnyAdapter) -> None:
    stage.needs("closing")
    await adapter.open()
    stage.close_channel()
    with pytest.raises(PlaceGone) as gone:
        await adapter.send(answer(stage))
    assert gone.value.remedy is Remedy.GIVE_UP


async def test_a_sent_message_can_be_edited(stage: Stage, adapter: AnyAdapter) -> None:
    stage.needs("edits")
    assert isinstance(adapter, Edits)
    receipt = await adapter.send(answer(stage, "working ..."))
    await adapter.edit(receipt.external_id, "done")
    assert stage.spoken() == ["done"]
    assert (await adapter.look_up(answer(stage))) is not None


async def test_typing_never_raises(stage: Stage, adapter: AnyAdapter) -> None:
    stage.needs("typing")
    assert isinstance(adapter, Types)
    await adapter.open()
    await adapter.typing(stage.place())
    stage.close_channel()
    await adapter.typing(stage.place())


async def test_closing_ends_listening(stage: Stage) -> None:
    adapter = stage.adapter()
    stage.says("hello")
    async with listening(adapter) as ear:
        await ear.hears("hello")
        await adapter.close()
        await ear.until(lambda: ear.is_over)
    assert ear.error is None


async def test_capability_flags_and_protocols_go_together(stage: Stage, adapter: AnyAdapter) -> None:
    offered = {
        Capability.LOOK_UP: LooksUp,
        Capability.EDIT: Edits,
        Capability.TYPING: Types,
        Capability.DIRECT: ReachesOne,
        Capability.ACCOUNTS: KnowsAccounts,
    }
    assert set(offered) == set(Capability)
    for flag, protocol in offered.items():
        assert (flag in adapter.capabilities) is isinstance(adapter, protocol)


async def test_two_adapters_of_one_process_do_not_hear_each_other(stage: Stage, adapter: AnyAdapter) -> None:
    other = stage.elsewhere()
    async with listening(adapter) as ear, listening(other, Cursor("")) as deaf:
        stage.says("only here")
        await ear.hears("only here")
    assert deaf.texts == []
    await other.close()

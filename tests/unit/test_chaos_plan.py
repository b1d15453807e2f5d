"""A seed repeats the run: attacks and load are pure functions of it."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.chaos.plan import LASTING, LAYOUTS, Blow, Round, attacks, kills, mentions

LONG = Round(7, "nats", "split", 600.0)


def test_a_seed_repeats_the_plan_and_the_load() -> None:
    assert attacks(LONG) == attacks(Round(7, "nats", "split", 600.0))
    assert mentions(LONG) == mentions(Round(7, "nats", "split", 600.0))
    assert kills(LONG, 20, "worker") == kills(LONG, 20, "worker")


@pytest.mark.parametrize("other", [Round(8, "nats", "split", 600.0), Round(7, "redis", "split", 600.0)])
def test_another_seed_or_transport_is_another_run(other: Round) -> None:
    assert attacks(LONG) != attacks(other)
    assert mentions(LONG) != mentions(other)


def test_the_plan_is_the_same_in_any_process() -> None:
    """Written down: a hash or an order that differs from process to process would change it."""
    first = attacks(Round(1, "postgres", "up", 60.0))[:3]
    assert [(a.at_s, a.blow.name, a.victim) for a in first] == FIRST


FIRST = [(3.76, "FULL_DISK", None), (5.23, "CHAT_COMMITS_LATE", None), (8.32, "CLOCK_JUMP", None)]


def test_a_long_run_strikes_every_blow_and_every_process() -> None:
    plan = attacks(LONG)
    assert {attack.blow for attack in plan} == set(Blow)
    assert {attack.victim for attack in plan if attack.blow is Blow.KILL} == set(range(5))
    assert [attack.at_s for attack in plan] == sorted(attack.at_s for attack in plan)


@pytest.mark.parametrize("transport", ["postgres", "nats"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_round_of_make_chaos_strikes_every_blow_and_each_kind_of_process(
    layout: str, transport: str
) -> None:
    for seed in range(20):
        chaos = Round(seed, transport, layout, 15 * 60 / 8)
        plan = attacks(chaos)
        left_out = {Blow.BROKER_EMPTIED} if transport == "postgres" else set()
        assert {attack.blow for attack in plan} == set(Blow) - left_out
        for blow in (Blow.KILL, Blow.FREEZE):
            assert {chaos.roles[a.victim or 0] for a in plan if a.blow is blow} == set(chaos.roles)


def test_only_a_transport_with_a_broker_loses_it() -> None:
    assert Blow.BROKER_EMPTIED not in {a.blow for a in attacks(Round(7, "postgres", "up", 600.0))}


def test_a_frozen_process_sleeps_for_longer_than_its_lease() -> None:
    frozen = [attack for attack in attacks(LONG) if attack.blow is Blow.FREEZE]
    assert min(attack.lasts_s for attack in frozen) > LONG.lease_s


def test_what_lasts_has_its_bounds() -> None:
    for attack in attacks(LONG):
        if attack.blow in LASTING:
            least, most = LASTING[attack.blow]
            assert least <= attack.lasts_s <= most, attack


@pytest.mark.parametrize(
    ("layout", "role"), [(name, role) for name in LAYOUTS for role in sorted(set(LAYOUTS[name]))]
)
def test_kills_hit_one_kind_of_process(layout: str, role: str) -> None:
    chaos = Round(3, "postgres", layout, 100.0)
    plan = kills(chaos, 20, role)
    assert len(plan) == 20
    assert {chaos.roles[attack.victim or 0] for attack in plan} == {role}


def test_the_load_is_spread_and_each_mention_has_its_own_number() -> None:
    load = mentions(LONG)
    assert [mention.number for mention in load] == list(range(1800))
    places = Counter((mention.tenant, mention.channel) for mention in load)
    assert len(places) == 6
    assert min(places.values()) > 200
    assert 300 < sum(bool(mention.hold) for mention in load) < 600
    for mention in load:
        if mention.thread is not None:
            root = load[mention.thread]
            assert (root.tenant, root.channel, root.thread) == (mention.tenant, mention.channel, None)

"""The attack on our own software: real processes over an embedded Postgres, a steady load, a seeded plan of blows, and
a judge that believes only what the outside saw.

    make chaos                                              every transport that this machine has, about 15 minutes
    python -m tests.chaos --seed 7 --minutes 2 --transport nats --layout split
    python -m tests.chaos --mentions 1000 --kills 20        kill -9 alone: the service, then each kind of process

plan (what is done when, a pure function of the seed) -> place (the far sides, the database) -> fleet (the processes)
-> attacks -> watch (recovery, readiness) -> judge -> report.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import sys
from collections.abc import Sequence

from tests.chaos.brokers import TRANSPORTS, why_not
from tests.chaos.plan import LAYOUTS, Attack, Mention, Round, attacks, kills, mentions
from tests.chaos.report import Report, told
from tests.chaos.run import play

KILL_ROUNDS = {"up": "up", "worker": "split", "listener": "split", "web": "split"}
"""Which layout a kind of process is killed in."""


def main() -> int:
    """Exit code 1 when a verdict fails."""
    options = _options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # leaves as tidily as after Ctrl-C
    seed = options.seed if options.seed is not None else random.randrange(1_000_000)
    transports = _transports(options.transport)
    print(f"seed {seed}; again: {_again(seed)}", flush=True)
    rounds = list(
        _kill_rounds(options, seed, transports) if options.kills else _rounds(options, seed, transports)
    )
    verdicts = [_played(*each) for each in rounds]  # each is played, whatever the others said
    return 0 if all(verdicts) else 1


def _rounds(
    options: argparse.Namespace, seed: int, transports: Sequence[str]
) -> list[tuple[Round, list[Attack], list[Mention], str]]:
    layouts = [options.layout] if options.layout else list(LAYOUTS)
    length_s = options.minutes * 60 / (len(transports) * len(layouts))
    made = []
    for transport in transports:
        for layout in layouts:
            chaos = Round(seed, transport, layout, length_s, options.rate)
            made.append((chaos, attacks(chaos), mentions(chaos), ""))
    return made


def _kill_rounds(
    options: argparse.Namespace, seed: int, transports: Sequence[str]
) -> list[tuple[Round, list[Attack], list[Mention], str]]:
    made = []
    for transport in transports:
        for role, layout in KILL_ROUNDS.items():
            if options.victim in (None, role):
                chaos = Round(seed, transport, layout, options.mentions / options.rate, options.rate)
                plan, load = kills(chaos, options.kills, role), mentions(chaos, options.mentions)
                made.append((chaos, plan, load, f"{transport}-kills-{role}-{seed}"))
    return made


def _played(chaos: Round, plan: list[Attack], load: list[Mention], name: str) -> bool:
    report = Report(chaos, name)
    print(
        f"\n{chaos.transport}, {'+'.join(chaos.roles)}: {len(load)} mentions, {len(plan)} attacks, {chaos.length_s:.0f} s",
        flush=True,
    )
    for attack in plan:
        victim = "" if attack.victim is None else f" ({chaos.roles[attack.victim]} {attack.victim})"
        size = f" {attack.lasts_s:+.1f} s" if attack.lasts_s else f" {attack.count}x" if attack.count else ""
        print(f"  {attack.at_s:7.2f}  {attack.blow}{victim}{size}", flush=True)
    verdict = asyncio.run(play(chaos, plan, load, report))
    print(told(chaos, verdict, report), flush=True)
    return verdict.holds


def _transports(wanted: str | None) -> list[str]:
    """The one asked for, or all that can be run here. Exits with the reason for one that cannot."""
    if wanted is not None:
        reason = why_not(wanted)
        if reason is not None:
            sys.exit(f"{wanted} cannot be attacked: {reason}.")
        return [wanted]
    for transport in TRANSPORTS:
        reason = why_not(transport)
        if reason is not None:
            print(f"{transport} is left out: {reason}")
    return [transport for transport in TRANSPORTS if why_not(transport) is None]


def _again(seed: int) -> str:
    words = list(sys.argv[1:])
    if "--seed" not in words:
        words += ["--seed", str(seed)]
    return " ".join(["python -m tests.chaos", *words])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description="Attack the service, and judge it."
    )
    parser.add_argument("--seed", type=int, help="repeats a run; without one, a random one is printed")
    parser.add_argument("--minutes", type=float, default=15.0, help="of load, over all rounds")
    parser.add_argument(
        "--transport", choices=TRANSPORTS, help="one alone; without it, each that runs here has its turn"
    )
    parser.add_argument(
        "--layout", choices=tuple(LAYOUTS), help="one process, or each part its own; without it, both"
    )
    parser.add_argument("--rate", type=float, default=3.0, help="mentions a second")
    parser.add_argument("--kills", type=int, default=0, help="kill -9 alone, so many of each kind of process")
    parser.add_argument("--mentions", type=int, default=1000, help="with --kills: so many of them")
    parser.add_argument(
        "--victim", choices=tuple(KILL_ROUNDS), help="with --kills: this kind of process alone"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

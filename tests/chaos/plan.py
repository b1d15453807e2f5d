"""What is done when: attacks and load, each a pure function of the seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

TENANTS: Final = ("acme", "globex")
CHANNELS: Final = ("support", "sales", "ops")
PEOPLE: Final = ("dana", "eve")
ORDERS: Final = ("1042", "1043", "1051", "1058", "1117", "1234", "1313")


class Blow(StrEnum):
    """Kinds of attacks."""

    KILL = "kill -9"
    FREEZE = "SIGSTOP for longer than the lease, then SIGCONT"
    POSTGRES_KILL = "kill -9 of the postmaster"
    POSTGRES_RESTART = "clean restart of Postgres"
    POSTGRES_AWAY = "kill -9 of the keeper and of the postmaster"
    CUT_LISTEN = "pg_terminate_backend of the LISTEN connections"
    CUT_BACKENDS = "pg_terminate_backend of random backends"
    CHAT_RESET = "connection resets by Mattermost"
    CHAT_BLACK_HOLE = "Mattermost accepts and is silent"
    CHAT_RESTART = "Mattermost restarts and forgets its pending posts"
    CHAT_COMMITS_AND_DROPS = "posts committed, answers dropped"
    CHAT_COMMITS_LATE = "posts committed late"
    DESK_COMMITS_AND_DROPS = "holds placed, answers dropped"
    DESK_RESET = "connection resets by the order desk"
    MODEL_RESET = "connection resets by the model"
    MODEL_BLACK_HOLE = "the model accepts and is silent"
    FULL_DISK = "no room on the database's disk"
    CLOCK_JUMP = "the services' clock jumps"
    BROKER_EMPTIED = "the broker emptied and restarted"


LAYOUTS: Final[dict[str, tuple[str, ...]]] = {
    "up": ("up",),
    "split": ("web", "worker", "worker", "listener", "listener"),
}
"""The processes of each way to run the service."""
QUIET_START_S: Final = 2.0
COUNTED: Final = {
    Blow.CHAT_RESET,
    Blow.CHAT_COMMITS_AND_DROPS,
    Blow.CHAT_COMMITS_LATE,
    Blow.DESK_COMMITS_AND_DROPS,
    Blow.DESK_RESET,
    Blow.MODEL_RESET,
    Blow.CUT_BACKENDS,
}
"""Blows that hit a number of requests or backends."""
AT_A_PROCESS: Final = {Blow.KILL, Blow.FREEZE}
LASTING: Final = {
    Blow.CHAT_BLACK_HOLE: (1.0, 5.0),
    Blow.CHAT_RESTART: (0.0, 2.0),
    Blow.CHAT_COMMITS_LATE: (0.5, 2.5),
    Blow.MODEL_BLACK_HOLE: (1.0, 5.0),
    Blow.FULL_DISK: (1.5, 4.0),
    Blow.POSTGRES_AWAY: (0.5, 3.0),
    Blow.BROKER_EMPTIED: (0.0, 3.0),
}
"""Seconds, from and to."""


@dataclass(frozen=True, slots=True)
class Attack:
    """One blow. at_s: seconds after the load began. victim: index of a process, or None. count: requests or backends."""

    at_s: float
    blow: Blow
    victim: int | None = None
    lasts_s: float = 0.0
    count: int = 0


@dataclass(frozen=True, slots=True)
class Mention:
    """One question. thread: the number of an earlier mention that began the thread, or None for a thread of its own.

    hold: the order that is to be put on hold, "" for a mere answer.
    """

    number: int
    at_s: float
    tenant: str
    channel: str
    person: str
    thread: int | None
    hold: str


@dataclass(frozen=True, slots=True)
class Round:
    """One run of the harness on one fleet."""

    seed: int
    transport: str
    layout: str
    length_s: float
    a_second: float = 3.0
    lease_s: float = 5.0
    pause_s: float = 3.0
    """Between two attacks, on average."""

    @property
    def roles(self) -> tuple[str, ...]:
        return LAYOUTS[self.layout]

    def dice(self, about: str) -> random.Random:
        """Its own sequence for each purpose: a change in one plan moves nothing in another."""
        return random.Random(f"{self.seed}/{self.transport}/{self.layout}/{about}")


def attacks(chaos: Round) -> list[Attack]:
    """Every kind once before any comes again, at random moments; the last tenth of the time is left to recover."""
    dice, at_s = chaos.dice("attacks"), QUIET_START_S
    found: list[Attack] = []
    for blow, role in _bags(dice, _blows(chaos)):
        at_s += dice.uniform(0.3, 1.7) * chaos.pause_s
        if at_s > chaos.length_s * 0.9:
            return found
        found.append(_attack(chaos, dice, round(at_s, 2), blow, role))
    raise AssertionError("the bags never end")


def kills(chaos: Round, count: int, role: str) -> list[Attack]:
    """So many kill -9 of one kind of process, at random points of the whole time."""
    dice = chaos.dice(f"kills of {role}")
    victims = [index for index, name in enumerate(chaos.roles) if name == role]
    moments = sorted(dice.uniform(0.5, chaos.length_s) for _ in range(count))
    return [Attack(round(at_s, 2), Blow.KILL, dice.choice(victims)) for at_s in moments]


def _blows(chaos: Round) -> list[tuple[Blow, str]]:
    """The kinds in one bag: each kind of process is frozen and killed, and a process dies more often than anything else."""
    roles = sorted(set(chaos.roles))
    left_out = AT_A_PROCESS | ({Blow.BROKER_EMPTIED} if chaos.transport == "postgres" else set())
    frozen, killed = [(Blow.FREEZE, role) for role in roles], [(Blow.KILL, role) for role in [*roles, "", ""]]
    return [*((blow, "") for blow in Blow if blow not in left_out), *frozen, *killed]


def _bags(dice: random.Random, blows: list[tuple[Blow, str]]) -> Iterator[tuple[Blow, str]]:
    while True:
        bag = list(blows)
        dice.shuffle(bag)
        yield from bag


def _attack(chaos: Round, dice: random.Random, at_s: float, blow: Blow, role: str) -> Attack:
    """role: of the process to strike; "" = any."""
    victims = [index for index, name in enumerate(chaos.roles) if role in ("", name)]
    victim = dice.choice(victims) if blow in AT_A_PROCESS else None
    least, most = LASTING.get(blow, (0.0, 0.0))
    if blow is Blow.FREEZE:
        least, most = chaos.lease_s * 1.2, chaos.lease_s * 1.8
    if blow is Blow.CLOCK_JUMP:  # the jump itself; negative goes back
        least, most = dice.choice(((30.0, 7200.0), (-7200.0, -30.0)))
    count = dice.randint(1, 4) if blow in COUNTED else 0
    return Attack(at_s, blow, victim, round(dice.uniform(least, most), 2), count)


def mentions(chaos: Round, count: int | None = None) -> list[Mention]:
    """A steady pace over tenants, channels and people; a third in threads that exist, a fourth with a side effect."""
    dice = chaos.dice("mentions")
    made: list[Mention] = []
    threads: dict[tuple[str, str], list[int]] = {}
    for number in range(count or int(chaos.length_s * chaos.a_second)):
        place = dice.choice(TENANTS), dice.choice(CHANNELS)
        open_threads = threads.setdefault(place, [])
        thread = dice.choice(open_threads[-4:]) if open_threads and dice.random() < 0.33 else None
        if thread is None:
            open_threads.append(number)
        hold = dice.choice(ORDERS) if dice.random() < 0.25 else ""
        at_s = round(number / chaos.a_second + dice.uniform(0, 1 / chaos.a_second), 3)
        made.append(Mention(number, at_s, *place, dice.choice(PEOPLE), thread, hold))
    return made

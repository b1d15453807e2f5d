"""kill -9 at every named place of an installation's life: it ends as before or as asked, never between, and once."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from fleetprompt.kernel import faults
from fleetprompt.model.states import all_moves, fault_point
from fleetprompt.packages.inline import run_now
from fleetprompt.packages.signing import TRUSTED
from fleetprompt.runtime.jobs import claim
from tests.connected import Stage
from tests.house import ACME
from tests.killing import dies
from tests.package_programs import NEW, OLD, Bot, Order, Play, carry_out
from tests.versions import put, versions_stage

BETWEEN = {"requested", "installing", "upgrading", "uninstalling"}
ELSEWHERE = {"package.inserted", "package.purging"}
"""Of publishing and of purging, which have tests of their own."""

STEP = (
    "job.claimed",
    "directive.requested>running",
    "effect.planned>sending",
    "directive.requested>running!",
    "effect.planned>sending!",
    "effect.recorded_sending",
    "effect.performed",
    "effect.sending>sent",
    "directive.running>succeeded",
    "effect.sending>sent!",
    "directive.running>succeeded!",
    "job.finished",
)
"""Around what any directive does: before and after each of its commits."""

Act = Callable[[Play], Awaitable[None]]


def first(play: Play) -> Play:
    """Another installation of the same account."""
    return replace(play, bot=replace(play.bot, name=f"{play.bot.name}-first"))


async def be_second(play: Play) -> None:
    """Another installation has the account."""
    await first(play).install()


async def be_alone(play: Play) -> None:
    """It gives it up."""
    await first(play).uninstall()


@dataclass(frozen=True, slots=True)
class Scene:
    """What comes before, the act in which it dies, how it ends, and the moves on the way.

    or_else: how it ends when others take over. once: the signal that is told once. own: a version of its own.
    """

    before: tuple[Act, ...]
    act: Act
    ends: str
    moves: str = ""
    places: tuple[str, ...] = ()
    version: str = OLD
    once: str = ""
    or_else: str = ""
    own: bool = False

    @property
    def points(self) -> list[str]:
        pairs = [move.split(">") for move in self.moves.split()]
        named = [
            fault_point("installation", *pair, committed=done) for pair in pairs for done in (False, True)
        ]
        return [*named, *self.places]


P = Play
SCENES = {
    "install": Scene(
        (), P.install, "installed", "requested>installing installing>installed",
        ("package.provisioned",), once="install.completed",
    ),
    "install, step": Scene((), P.install, "installed", "", STEP, once="install.completed"),
    "install, lacking": Scene((), P.lack, "needs_config", "requested>needs_config"),
    "install, going on": Scene(
        (P.lack,), P.provide, "installed", "needs_config>installing", once="install.completed"
    ),
    "install, refused": Scene((), P.be_refused, "needs_config", "installing>needs_config"),
    "install, taken": Scene((be_second,), P.install, "failed", "installing>failed"),
    "install, mended": Scene(
        (be_second, P.install, be_alone), P.install, "installed", "failed>installing", once="install.completed"
    ),
    "install, revoked": Scene((), P.be_revoked, "failed", "requested>failed", own=True),
    "disable": Scene((P.install,), P.disable, "disabled", "installed>disabled", once="disabled"),
    "enable": Scene((P.install, P.disable), P.enable, "installed", "disabled>installed", once="enabled"),
    "upgrade": Scene(
        (P.install,), P.upgrade, "installed", "installed>upgrading upgrading>installed",
        ("package.provisioned",), NEW, "upgrade.completed",
    ),
    "upgrade, step": Scene((P.install,), P.upgrade, "installed", "", STEP, NEW, "upgrade.completed"),
    "upgrade, at rest": Scene(
        (P.install, P.disable), P.upgrade, "disabled", "disabled>upgrading upgrading>disabled", (), NEW,
        "upgrade.completed",
    ),
    "upgrade, back": Scene(
        (P.install, P.upgrade), P.rollback, "installed", "", ("installation.upgrading>installed",), OLD,
        "rollback.completed",
    ),
    "uninstall": Scene(
        (P.install,), P.uninstall, "uninstalled", "installed>uninstalling uninstalling>uninstalled",
        ("package.drained", "package.withdrawn"), once="uninstalled",
    ),
    "uninstall, step": Scene((P.install,), P.uninstall, "uninstalled", "", STEP, once="uninstalled"),
    "uninstall, at rest": Scene((P.install, P.disable), P.uninstall, "uninstalled", "disabled>uninstalling"),
    "uninstall, waiting": Scene((P.lack,), P.uninstall, "uninstalled", "needs_config>uninstalling"),
    "uninstall, failing": Scene(
        (P.install,), P.fail_to_uninstall, "failed", "uninstalling>failed", or_else="uninstalled"
    ),
    "uninstall, again": Scene(
        (P.install, P.fail_to_uninstall), P.uninstall, "uninstalled", "failed>uninstalling"
    ),
}  # fmt: skip
AT_ONCE = 6
"""So many deaths on one database."""
PARTS = [(name, some) for name, scene in SCENES.items() for some in range(0, len(scene.points), AT_ONCE)]


@dataclass(frozen=True, slots=True)
class Place:
    """A stage whose master key other processes get too."""

    stage: Stage
    key: bytes

    async def play(self, number: int, scene: Scene) -> Play:
        """An installation to be, with a bot of its own."""
        stage, version = self.stage, f"0.9.{number}" if scene.own else OLD
        if scene.own:
            await put(stage, version)
        user = stage.server.create_user(f"bot{number}", is_bot=True)
        stage.server.add_to_channel(user, stage.support)
        return Play(stage.base, stage.house, Bot(f"n{number}", stage.server.url, user.token, version))

    async def dies(self, play: Play, act: Act, point: str) -> None:
        """Another process does it, until kill -9."""
        order = Order(act.__name__, play.bot, self.key, dict(TRUSTED))
        await dies(carry_out, self.stage.base.url, order, fault=point)


@pytest.fixture
async def place(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    key = os.urandom(32)
    async with versions_stage(monkeypatch, key) as stage:
        await put(stage, NEW)
        yield Place(stage, key)


def test_every_move_of_an_installation_is_cut_off_somewhere() -> None:
    cut = [pair for scene in SCENES.values() for pair in scene.moves.split()]
    moves = [f"{source}>{target}" for machine, source, target in all_moves() if machine == "installation"]
    assert Counter(cut) == Counter(moves)


async def test_so_is_every_other_place_that_is_reached(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    reached: set[str] = set()
    monkeypatch.setattr(faults, "reach", reached.add)
    play = await place.play(0, SCENES["install"])
    for act in (P.install, P.upgrade, P.uninstall):
        reached.clear()
        await act(play)
        cut = [point for scene in SCENES.values() if scene.act is act for point in scene.points]
        assert reached <= {*cut}, act.__name__
        assert reached > {*STEP}, act.__name__


def test_so_is_every_place_of_packages() -> None:
    cut = {point for scene in SCENES.values() for point in scene.points}
    assert {point for point in faults.points() if point.startswith("package.")} - ELSEWHERE <= cut


@pytest.mark.parametrize(("name", "some"), PARTS)
async def test_it_ends_as_before_or_as_asked_wherever_it_died(name: str, some: int, place: Place) -> None:
    scene = SCENES[name]
    for number, point in enumerate(scene.points[some : some + AT_ONCE]):
        await dies_and_goes_on(place, await place.play(number, scene), scene, point)


async def dies_and_goes_on(place: Place, play: Play, scene: Scene, point: str) -> None:
    for act in scene.before:
        await act(play)
    before = (await play.row())["state"]
    await place.dies(play, scene.act, point)
    await others_take_over(play)
    row = await play.row()
    assert row["state"] not in BETWEEN, point
    assert row["state"] in (before, scene.ends, scene.or_else), point
    if row["state"] == scene.or_else:
        await nothing_is_doubled(play, row, scene, point)
        return
    if (row["state"], row["version"] or scene.version) != (scene.ends, scene.version) and not scene.own:
        await scene.act(play)
    row = await play.row()
    assert row["state"] == scene.ends, point
    assert row["version"] == scene.version or scene.ends == "failed", point
    await nothing_is_doubled(play, row, scene, point)


async def others_take_over(play: Play) -> None:
    """The lease ends, and another process does what was asked."""
    base = play.base
    await base.rows("update public.job set lease_until = now() - interval '1 s' where state = 'running'")
    await claim.reap(base.database)
    due = "select id from directives where name like 'package.%' and state in ('requested', 'running') order by id"
    for row in await base.tenant_rows(ACME, due):
        await run_now(play.house, ACME, row["id"], 20)


async def nothing_is_doubled(play: Play, row: Any, scene: Scene, point: str) -> None:
    base = play.base
    if scene.once:
        said = "select count(*) as n from signals where installation_id = $1 and name = $2"
        [told] = await base.tenant_rows(ACME, said, row["id"], f"package.{scene.once}")
        assert told["n"] == 1, point
    own = "select count(*) from public.connections where installation_id = $1"
    listening = row["state"] in ("installed", "disabled")
    assert await base.value(own, row["id"]) == int(listening), point
    if row["state"] == "uninstalled":
        kept = "select 1 from credentials where installation_id = $1"
        assert await base.tenant_rows(ACME, kept, row["id"]) == [], point

"""A death at every named place of an installation's life: it ends as before or as asked, never between, and once.

Here a death is an exception that nothing catches: what was not committed is gone, the job stays claimed until its lease
ends. Processes that are really killed are in `test_packages_killed_processes`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest

from fleetprompt.credentials import Secret
from fleetprompt.kernel.errors import Conflict
from fleetprompt.model.states import all_moves, fault_point
from fleetprompt.packages import lifecycle, withdrawing
from fleetprompt.packages.inline import run_now
from fleetprompt.packages.lifecycle import Asked
from fleetprompt.packages.steps import uninstall as uninstalling
from fleetprompt.runtime.jobs import claim
from fleetprompt.sandbox.mattermost.records import SandboxUser
from tests.connected import OPERATOR, Stage
from tests.dying import Killed, dying_at
from tests.house import ACME
from tests.versions import put, versions_stage

BETWEEN = {"requested", "installing", "upgrading", "uninstalling"}
OLD, NEW = "1.0.0", "1.1.0"


@dataclass
class Play:
    """One installation, with a bot of its own."""

    stage: Stage
    name: str
    bot: SandboxUser
    version: str = OLD
    asked: list[UUID] = field(default_factory=list)

    async def install(self, *, token: str | None = None) -> None:
        given = {"bot_token": Secret(self.bot.token if token is None else token)} if token != "" else {}
        settings = {"server_url": self.stage.server.url, "team": "engineering"}
        package = f"mattermost@{self.version}"
        more: Any = {"config": settings, "secrets": given, "name": self.name, "actor": OPERATOR}
        await self.end(await lifecycle.install(self.stage.house, ACME, package, **more))

    async def lack(self) -> None:
        await self.install(token="")

    async def be_refused(self) -> None:
        await self.install(token="wrong" * 5)

    async def provide(self) -> None:
        house, row = self.stage.house, await self.row()
        secret = Secret(self.bot.token)
        await self.end(await lifecycle.provide_secret(house, ACME, row["id"], "bot_token", secret, OPERATOR))

    async def collide(self) -> None:
        """Another installation has the account."""
        if not await self._rows(f"{self.name}-first"):
            await Play(self.stage, f"{self.name}-first", self.bot).install()
        await self.install()

    async def mend(self) -> None:
        first = Play(self.stage, f"{self.name}-first", self.bot)
        if await self._rows(first.name):
            await first.change("uninstall")
        await self.install()

    async def be_revoked(self) -> None:
        """Between asking and doing."""
        if not await self._rows(self.name):
            self.version = f"0.9.{self.name.removeprefix('n')}"
            await put(self.stage, self.version)
            settings = {"server_url": self.stage.server.url}
            more: Any = {"config": settings, "secrets": {"bot_token": Secret("x")}, "name": self.name}
            asked = await lifecycle.install(
                self.stage.house, ACME, f"mattermost@{self.version}", actor=OPERATOR, **more
            )
            await withdrawing.revoke(self.stage.base.database, "mattermost", self.version, "It leaks.")
            await self.end(asked)

    async def change(self, verb: str) -> None:
        handler = getattr(lifecycle, verb)
        package = f"mattermost@{NEW}" if verb == "upgrade" else "mattermost"
        await self.end(await handler(self.stage.house, ACME, package, actor=OPERATOR, name=self.name))

    async def disable(self) -> None:
        await self.change("disable")

    async def enable(self) -> None:
        await self.change("enable")

    async def upgrade(self) -> None:
        await self.change("upgrade")

    async def rollback(self) -> None:
        await self.change("rollback")

    async def uninstall(self) -> None:
        await self.change("uninstall")

    async def fail_to_uninstall(self) -> None:
        """What it provides cannot be taken back for now."""

        async def refuse(*_: Any) -> None:
            raise Conflict("Somebody holds it.")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(uninstalling, "withdraw", refuse)
            await self.uninstall()

    async def end(self, asked: Asked) -> None:
        if asked.requested is not None:
            await run_now(self.stage.house, ACME, asked.requested, 20)

    async def row(self) -> Any:
        found = await self._rows(self.name)
        return found[-1] if found else {"state": "absent", "version": None}

    async def _rows(self, name: str) -> list[Any]:
        query = "select * from installations where name = $1 order by id"
        return await self.stage.base.tenant_rows(ACME, query, name)


Act = Callable[[Play], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Scene:
    """What comes before, the act in which it dies, how it ends, and the moves on the way.

    or_else: how it ends when others take over. once: the signal that is told once.
    """

    before: tuple[Act, ...]
    act: Act
    ends: str
    moves: str = ""
    places: tuple[str, ...] = ()
    version: str = OLD
    once: str = ""
    or_else: str = ""

    @property
    def points(self) -> list[str]:
        pairs = [move.split(">") for move in self.moves.split()]
        named = [
            fault_point("installation", *pair, committed=done) for pair in pairs for done in (False, True)
        ]
        return [*named, *self.places]


P = Play
SCENES = {
    "install": {
        "plain": Scene(
            (), P.install, "installed", "requested>installing installing>installed", ("package.provisioned",),
            once="install.completed",
        ),
        "lacking": Scene((), P.lack, "needs_config", "requested>needs_config"),
        "goes on": Scene((P.lack,), P.provide, "installed", "needs_config>installing", once="install.completed"),
        "refused": Scene((), P.be_refused, "needs_config", "installing>needs_config"),
        "taken": Scene((), P.collide, "failed", "installing>failed"),
        "mended": Scene((P.collide,), P.mend, "installed", "failed>installing", once="install.completed"),
        "revoked": Scene((), P.be_revoked, "failed", "requested>failed"),
    },
    "switch": {
        "disable": Scene((P.install,), P.disable, "disabled", "installed>disabled", once="disabled"),
        "enable": Scene((P.install, P.disable), P.enable, "installed", "disabled>installed", once="enabled"),
    },
    "upgrade": {
        "plain": Scene(
            (P.install,), P.upgrade, "installed", "installed>upgrading upgrading>installed",
            ("package.provisioned", "effect.performed"), NEW, "upgrade.completed",
        ),
        "at rest": Scene(
            (P.install, P.disable), P.upgrade, "disabled", "disabled>upgrading upgrading>disabled", (), NEW,
            "upgrade.completed",
        ),
        "back": Scene(
            (P.install, P.upgrade), P.rollback, "installed", "", ("installation.upgrading>installed",), OLD,
            "rollback.completed",
        ),
    },
    "uninstall": {
        "plain": Scene(
            (P.install,), P.uninstall, "uninstalled", "installed>uninstalling uninstalling>uninstalled",
            ("package.drained", "package.withdrawn", "effect.performed"), once="uninstalled",
        ),
        "at rest": Scene((P.install, P.disable), P.uninstall, "uninstalled", "disabled>uninstalling"),
        "waiting": Scene((P.lack,), P.uninstall, "uninstalled", "needs_config>uninstalling"),
        "failing": Scene((P.install,), P.fail_to_uninstall, "failed", "uninstalling>failed", or_else="uninstalled"),
        "again": Scene((P.install, P.fail_to_uninstall), P.uninstall, "uninstalled", "failed>uninstalling"),
    },
}  # fmt: skip


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    async with versions_stage(monkeypatch) as opened:
        await put(opened, NEW)
        yield opened


def test_every_move_of_an_installation_is_cut_off_somewhere() -> None:
    cut = [pair for group in SCENES.values() for scene in group.values() for pair in scene.moves.split()]
    moves = [f"{source}>{target}" for machine, source, target in all_moves() if machine == "installation"]
    assert Counter(cut) == Counter(moves)


@pytest.mark.parametrize("group", SCENES)
async def test_it_ends_as_before_or_as_asked_wherever_it_died(group: str, stage: Stage) -> None:
    number = 0
    for name, scene in SCENES[group].items():
        for point in scene.points:
            number += 1
            bot = stage.server.create_user(f"bot{number}", is_bot=True)
            stage.server.add_to_channel(bot, stage.support)
            await dies_and_goes_on(Play(stage, f"n{number}", bot), scene, f"{name}: {point}")


async def dies_and_goes_on(play: Play, scene: Scene, label: str) -> None:
    for act in scene.before:
        await act(play)
    before = (await play.row())["state"]
    with dying_at(label.partition(": ")[2]), pytest.raises(Killed):
        await scene.act(play)
    await others_take_over(play)
    row = await play.row()
    assert row["state"] not in BETWEEN, label
    assert row["state"] in (before, scene.ends, scene.or_else), label
    if row["state"] == scene.or_else:
        return
    if (row["state"], row["version"] or scene.version) != (scene.ends, scene.version):
        await scene.act(play)
    row = await play.row()
    assert row["state"] == scene.ends, label
    assert row["version"] == scene.version or scene.ends == "failed", label
    await nothing_is_doubled(play, row, scene, label)


async def others_take_over(play: Play) -> None:
    """The lease ends, and another process does what was asked."""
    base = play.stage.base
    await base.rows("update public.job set lease_until = now() - interval '1 s' where state = 'running'")
    await claim.reap(base.database)
    due = "select id from directives where name like 'package.%' and state in ('requested', 'running') order by id"
    for row in await base.tenant_rows(ACME, due):
        await run_now(play.stage.house, ACME, row["id"], 20)


async def nothing_is_doubled(play: Play, row: Any, scene: Scene, label: str) -> None:
    base = play.stage.base
    if scene.once:
        said = "select count(*) as n from signals where installation_id = $1 and name = $2"
        [told] = await base.tenant_rows(ACME, said, row["id"], f"package.{scene.once}")
        assert told["n"] == 1, label
    own = "select count(*) from public.connections where installation_id = $1"
    listening = row["state"] in ("installed", "disabled")
    assert await base.value(own, row["id"]) == int(listening), label
    if row["state"] == "uninstalled":
        kept = "select 1 from credentials where installation_id = $1"
        assert await base.tenant_rows(ACME, kept, row["id"]) == [], label

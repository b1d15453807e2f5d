"""Processes that install, upgrade and uninstall, killed with SIGKILL where it hurts most: others finish what they began."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from fleetprompt.connectors.register import register_connectors
from fleetprompt.kernel.ids import DirectiveId
from fleetprompt.packages.house import House
from fleetprompt.packages.inline import run_now
from fleetprompt.packages.publishing import publish
from fleetprompt.packages.register import register_packages
from fleetprompt.packages.signing import TRUSTED
from fleetprompt.runtime.jobs import claim
from fleetprompt.sandbox.mattermost import SandboxMattermost
from tests.connected import build_house
from tests.house import ACME, fresh_house
from tests.house import House as Base
from tests.killing import dies, run
from tests.manifests import KEYS
from tests.package_programs import Order, carry_out
from tests.versions import newer


@dataclass(frozen=True, slots=True)
class Place:
    """A house whose key other processes get too."""

    base: Base
    house: House
    key: bytes
    server_url: str
    token: str

    def order(self, verb: str, version: str = "1.0.0") -> Order:
        package = "mattermost" if verb == "uninstall" else f"mattermost@{version}"
        return Order(verb, package, dict(TRUSTED), self.key, self.server_url, self.token)

    async def carry_out(self, verb: str, version: str = "1.0.0") -> None:
        assert await run(carry_out, self.base.url, self.order(verb, version)) == 0

    async def taken_over(self) -> tuple[str, str]:
        """State and version, once others have done what was begun."""
        await self.base.rows(
            "update public.job set lease_until = now() - interval '1 s' where state = 'running'"
        )
        await claim.reap(self.base.database)
        begun = "select id from directives where name like 'package.%' and state in ('requested', 'running')"
        for row in await self.base.tenant_rows(ACME, begun):
            assert (await run_now(self.house, ACME, DirectiveId(row["id"]), 20)).succeeded
        [row] = await self.base.tenant_rows(ACME, "select state, version from installations")
        return row["state"], row["version"]


@pytest.fixture
async def place(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    for name, public in KEYS.items():
        monkeypatch.setitem(TRUSTED, name, public)
    key = os.urandom(32)
    async with fresh_house() as base, SandboxMattermost() as server:
        await publish(base.database, newer("1.1.0"))
        house = build_house(base, key=key)
        register_packages(house)
        connectors = register_connectors(house)
        bot = server.create_user("fleet", is_bot=True)
        server.add_to_team(bot, server.create_team("engineering"))
        try:
            yield Place(base, house, key, server.url, bot.token)
        finally:
            await connectors.close()


MOVES = {
    ("install", "1.0.0", "installed"): ("requested>installing", "installing>installed"),
    ("upgrade", "1.1.0", "installed"): ("installed>upgrading", "upgrading>installed"),
    ("uninstall", "1.0.0", "uninstalled"): ("installed>uninstalling", "uninstalling>uninstalled"),
}
"""verb, version, end: the moves on the way, each of which has a place before its commit and one behind it."""
BETWEEN = {"install": ("provisioned",), "upgrade": ("provisioned",), "uninstall": ("drained", "withdrawn")}
POINTS = [
    (*way, point)
    for way, moves in MOVES.items()
    for point in (
        *(f"installation.{move}{committed}" for move in moves for committed in ("", "!")),
        *(f"package.{place}" for place in BETWEEN[way[0]]),
    )
]


@pytest.mark.parametrize(("verb", "version", "end", "point"), POINTS)
async def test_what_was_begun_is_finished(
    place: Place, verb: str, version: str, end: str, point: str
) -> None:
    if verb != "install":
        await place.carry_out("install")
    await dies(carry_out, place.base.url, place.order(verb, version), fault=point)
    assert await place.taken_over() == (end, version)

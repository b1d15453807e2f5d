"""What a person asks of one installation, here or in a process of its own that is to be killed.

The other process works on the tester's database, against the tester's sandbox.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from unittest import mock

from fleetprompt.connectors.register import register_connectors
from fleetprompt.credentials import Secret
from fleetprompt.kernel.errors import Conflict
from fleetprompt.packages import lifecycle, withdrawing
from fleetprompt.packages.commands.register import register_commands
from fleetprompt.packages.house import House
from fleetprompt.packages.inline import run_now
from fleetprompt.packages.lifecycle import Asked
from fleetprompt.packages.register import register_packages
from fleetprompt.packages.signing import TRUSTED
from fleetprompt.packages.steps import uninstall as uninstalling
from fleetprompt.tenancy import Tenancy
from tests.connected import OPERATOR, build_house
from tests.house import ACME
from tests.house import House as Base
from tests.programs import opened

OLD, NEW = "1.0.0", "1.1.0"
WRONG_TOKEN = "wrong" * 5


@dataclass(frozen=True, slots=True)
class Bot:
    """An installation's name, the account it shall be, and the version to install."""

    name: str
    server_url: str
    token: str
    version: str = OLD


@dataclass(frozen=True, slots=True)
class Play:
    """Each act asks for something and runs it to its end."""

    base: Base
    house: House
    bot: Bot

    async def install(self) -> None:
        await self._install(bot_token=Secret(self.bot.token))

    async def lack(self) -> None:
        await self._install()

    async def be_refused(self) -> None:
        await self._install(bot_token=Secret(WRONG_TOKEN))

    async def be_revoked(self) -> None:
        """Between asking and doing."""
        asked = await self._ask_install(bot_token=Secret("x"))
        await withdrawing.revoke(self.base.database, "mattermost", self.bot.version, "It leaks.")
        await self._end(asked)

    async def provide(self) -> None:
        secret, row = Secret(self.bot.token), await self.row()
        more = ("bot_token", secret, OPERATOR)
        await self._end(await lifecycle.provide_secret(self.house, ACME, row["id"], *more))

    async def disable(self) -> None:
        await self._change("disable")

    async def enable(self) -> None:
        await self._change("enable")

    async def upgrade(self) -> None:
        await self._change("upgrade", f"mattermost@{NEW}")

    async def rollback(self) -> None:
        await self._change("rollback")

    async def uninstall(self) -> None:
        await self._change("uninstall")

    async def fail_to_uninstall(self) -> None:
        """What it provides cannot be taken back for now."""
        with mock.patch.object(uninstalling, "withdraw", side_effect=Conflict("Somebody holds it.")):
            await self.uninstall()

    async def row(self) -> Any:
        """The latest of this name."""
        query = "select * from installations where name = $1 order by id desc limit 1"
        found = await self.base.tenant_rows(ACME, query, self.bot.name)
        return found[0] if found else {"state": "absent", "version": None}

    async def _install(self, **secrets: Secret) -> None:
        await self._end(await self._ask_install(**secrets))

    async def _ask_install(self, **secrets: Secret) -> Asked:
        bot = self.bot
        settings = {"server_url": bot.server_url, "team": "engineering"}
        more: Any = {"config": settings, "secrets": secrets, "name": bot.name, "actor": OPERATOR}
        return await lifecycle.install(self.house, ACME, f"mattermost@{bot.version}", **more)

    async def _change(self, verb: str, package: str = "mattermost") -> None:
        asked = await getattr(lifecycle, verb)(self.house, ACME, package, actor=OPERATOR, name=self.bot.name)
        await self._end(asked)

    async def _end(self, asked: Asked) -> None:
        if asked.requested is not None:
            await run_now(self.house, ACME, asked.requested, 20)


@dataclass(frozen=True, slots=True)
class Order:
    """For another process. act: a method of `Play`; key: the master key; trusted: keys of publishers."""

    act: str
    bot: Bot
    key: bytes
    trusted: Mapping[str, str]


async def carry_out(url: str, order: Order) -> None:
    """One act, to its end."""
    TRUSTED.update(order.trusted)
    async with opened(url) as database:
        base = Base(url, database, Tenancy(database))
        house = build_house(base, key=order.key)
        register_packages(house)
        register_commands(house)
        connectors = register_connectors(house)
        try:
            await getattr(Play(base, house, order.bot), order.act)()
        finally:
            await connectors.close()

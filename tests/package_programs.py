"""A lifecycle verb in a process of its own, to be killed: on the tester's database, against the tester's sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fleetprompt.connectors.register import register_connectors
from fleetprompt.credentials import Secret
from fleetprompt.packages import lifecycle
from fleetprompt.packages.inline import run_now
from fleetprompt.packages.register import register_packages
from fleetprompt.packages.signing import TRUSTED
from fleetprompt.tenancy import Tenancy
from tests.connected import OPERATOR, build_house
from tests.house import ACME, House
from tests.programs import opened


@dataclass(frozen=True, slots=True)
class Order:
    """What to ask for, and with what. trusted: keys of publishers; key: the master key."""

    verb: str
    package: str
    trusted: Mapping[str, str]
    key: bytes
    server_url: str = ""
    token: str = ""

    @property
    def given(self) -> dict[str, Any]:
        """Settings and secrets, where the verb takes them."""
        if self.verb != "install":
            return {}
        config = {"server_url": self.server_url, "team": "engineering"}
        return {"config": config, "secrets": {"bot_token": Secret(self.token)}}


async def carry_out(url: str, order: Order) -> None:
    """Ask, and run it to its end."""
    TRUSTED.update(order.trusted)
    async with opened(url) as database:
        house = build_house(House(url, database, Tenancy(database)), key=order.key)
        register_packages(house)
        connectors = register_connectors(house)
        try:
            handler = getattr(lifecycle, order.verb)
            asked = await handler(house, ACME, order.package, actor=OPERATOR, **order.given)
            await run_now(house, ACME, asked.directive_id, 20)
        finally:
            await connectors.close()

"""A process that obeys one command and does what follows, for tests that kill it."""

from __future__ import annotations

from fleetprompt.connectors.register import register_connectors
from fleetprompt.packages.commands.asked import Asked
from fleetprompt.packages.commands.obey import obey
from fleetprompt.packages.commands.register import register_commands
from fleetprompt.packages.register import register_packages
from fleetprompt.tenancy import Tenancy
from tests.commanding import drain
from tests.connected import build_house
from tests.house import House
from tests.programs import opened


async def command(url: str, key: bytes, asked: Asked) -> None:
    """Obey, then run what is due."""
    async with opened(url) as database:
        house = build_house(House(url, database, Tenancy(database)), key=key)
        register_packages(house)
        register_commands(house)
        connectors = register_connectors(house)
        try:
            await obey(house, asked)
            await drain(house)
        finally:
            await connectors.close()

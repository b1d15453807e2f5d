"""A process that stays looks after the embedded server: it comes back even when its keeper was killed with it."""

from __future__ import annotations

import os
import signal

from fleetprompt.composition import open_house
from fleetprompt.settings import Settings
from tests.database import reachable_directory
from tests.embedded import answers


async def test_the_server_comes_back_when_its_keeper_died_with_it() -> None:
    with reachable_directory() as directory:
        settings = Settings(data_dir=directory / "data", log_level="CRITICAL")
        async with open_house(settings, role="worker", migrate=False) as house:
            assert house.postgres is not None
            address = await house.postgres.start()
            keeper = house.postgres.keeper_pid()
            assert keeper is not None
            os.kill(keeper, signal.SIGKILL)
            await house.postgres.kill()
            assert await answers(address, within_s=20)

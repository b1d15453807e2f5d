"""The master key is replaced on the command line."""

from __future__ import annotations

import base64
import os

from tests.command_line import CommandLine
from tests.house import fresh_house


async def test_another_key_for_a_database_of_ones_own() -> None:
    new = base64.b64encode(os.urandom(32)).decode()
    async with fresh_house() as house:
        run = CommandLine.on(house.url, NEW=new)
        nowhere, plain = await run("key", "rotate-master"), await run("key", "rotate-master", "--to", new)
        assert (nowhere.code, "--to env:NEW_MASTER_KEY" in nowhere.err, plain.code) == (1, True, 2)
        said = await run.ok("key", "rotate-master", "--to", "env:NEW")
        assert "--finish" in said.out
        doctor = await run("doctor")
        assert "still opens everything" in doctor.out
        after = CommandLine.on(house.url, FLEETPROMPT_MASTER_KEY=new)
        early = await run("key", "rotate-master", "--finish")
        assert (early.code, "the former one" in early.err) == (1, True)
        assert "opens nothing any more" in (await after.ok("key", "rotate-master", "--finish")).out
        assert "nothing to finish" in (await after.ok("key", "rotate-master", "--finish")).out
        for one in (nowhere, plain, said, early):
            assert new not in one.out + one.err

"""`fleetprompt key rotate-master`: another master key, while everything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import rich_click as click

from fleetprompt.cli import output
from fleetprompt.cli.running import in_house
from fleetprompt.cli.secrets import read_secret

if TYPE_CHECKING:
    from fleetprompt.composition import House
    from fleetprompt.credentials import MasterKey


@click.command(
    "rotate-master",
    help="""Replace the master key, while everything runs: organization after organization.

Beside an embedded database the new key is made and takes its place in the data directory. With a database of your own,
or with FLEETPROMPT_MASTER_KEY, name the new one: --to env:NEW_MASTER_KEY (made with `openssl rand -base64 32`).
Then start each process with the new key, one after the other; at the end, `--finish` with the new key: from then on the
former one opens nothing. Safe to interrupt: the same command goes on. Keep the former key as long as its backups.""",
)
@click.option("--to", metavar="env:VAR", help="Where the new key is: env:VARIABLE, or file:PATH.")
@click.option("--finish", is_flag=True, help="Every process has the new key: forget the former one.")
def rotate_master(to: str | None, finish: bool) -> None:
    if finish and to is not None:
        raise click.UsageError("Say --finish alone: it is the present key that stays.")
    if finish:
        count = in_house(_finish)
        output.say(
            "The former master key opens nothing any more." if count else "There was nothing to finish."
        )
    else:
        for line in in_house(lambda house: _rotate(house, to)):
            output.say(line)


async def _finish(house: House) -> int:
    from fleetprompt.credentials import rotation

    return await rotation.finish(house.database, house.master_key)


async def _rotate(house: House, to: str | None) -> list[str]:
    from fleetprompt.composition import data_dir
    from fleetprompt.credentials import rotation
    from fleetprompt.kernel.errors import InvalidInput

    former, is_ours = house.master_key, house.settings.master_key is None and house.postgres is not None
    if is_ours and to is None:
        new, count = await rotation.rotate_file(house.database, data_dir(house.settings), former)
        return [*_done(former, new, count), f"Then: {rotation.FINISH}"]
    if is_ours or to is None:
        advice = (
            "Leave --to out." if is_ours else "Say --to env:NEW_MASTER_KEY; make one: openssl rand -base64 32"
        )
        raise InvalidInput("The new key comes from where the present one is.", advice)
    new = _named(to)
    count = await rotation.rotate(house.database, former, new)
    return [*_done(former, new, count), f"Then, with FLEETPROMPT_MASTER_KEY the new one: {rotation.FINISH}"]


def _named(place: str) -> MasterKey:
    from fleetprompt.credentials import MasterKey

    return MasterKey.parse(read_secret("--to", place).reveal(), place)


def _done(former: MasterKey, new: MasterKey, count: int) -> list[str]:
    return [
        f"{new.fingerprint} is the master key now, and {former.fingerprint} was; {count} organizations were moved on.",
        "What runs goes on. Start each process with the new key when it suits you.",
        "Keep a copy of the new one apart from the database, and the former one as long as its backups.",
    ]

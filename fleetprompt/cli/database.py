"""`fleetprompt database`: moving everything into another server, as out of the embedded one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from fleetprompt.cli import output
from fleetprompt.cli.running import in_house

if TYPE_CHECKING:
    from fleetprompt.composition import House

FILE = click.Path(dir_okay=False, path_type=Path)


@click.group("database")
def database() -> None:
    """Move everything into another Postgres."""


@database.command(
    help="""Write the whole database into a file: registry and all organizations, as of one moment.

Stop FleetPrompt first. The master key is not in the file; the last lines say how it goes along."""
)
@click.argument("file", type=FILE)
@click.option("--force", is_flag=True, help="Although FleetPrompt runs; what comes later is not in the file.")
def export(file: Path, force: bool) -> None:
    async def act(house: House) -> tuple[dict[str, Any], str]:
        from fleetprompt.tenancy.move_out import export_database

        about = await export_database(house.database, file, force=force, told=_say_rows)
        return about, house.master_key.origin

    about, origin = in_house(act)
    output.say(f"{file} holds everything as of {about['exported_at']}. Next, where it shall live:")
    key = f'"$(cat {origin})"' if "/" in origin else "... (the same as here)"
    output.say(f"  export FLEETPROMPT_DATABASE_URL=postgresql://... FLEETPROMPT_MASTER_KEY={key}")
    output.say(f"  fleetprompt database import {file}")
    output.say("Do not start FleetPrompt on the old data again: both would answer.")


@database.command(
    "import",
    help="""Fill the empty database of FLEETPROMPT_DATABASE_URL from a file of `database export`.

Needs the master key of the old place. Safe to interrupt: the same command goes on.""",
)
@click.argument("file", type=FILE)
def import_(file: Path) -> None:
    async def act(house: House) -> int:
        from fleetprompt.tenancy.move_in import import_database

        _require_key(house, file)
        return await import_database(house.database, file, told=_say_rows)

    rows = in_house(act, migrate=False)
    output.say(f"{rows:,} rows are there. Next: fleetprompt doctor")


def _say_rows(what: str, rows: int) -> None:
    output.say(f"  {what}: {rows:,} rows")


def _require_key(house: House, file: Path) -> None:
    """Raises InvalidInput before anything is stored that could not be opened."""
    from fleetprompt.kernel.errors import InvalidInput
    from fleetprompt.tenancy.move_in import open_export

    with open_export(file) as archive:
        others = set(archive.about["master_keys"]) - {house.master_key.fingerprint}
    if others:
        raise InvalidInput(
            f"The secrets in {file} are sealed under another master key ({', '.join(sorted(others))}).",
            "Set FLEETPROMPT_MASTER_KEY to the one of the old place.",
        )

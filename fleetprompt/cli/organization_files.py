"""`fleetprompt org export` and `org import`: an organization as a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from fleetprompt.cli import output
from fleetprompt.cli.running import in_house

if TYPE_CHECKING:
    from fleetprompt.composition import House

SECRETS = "They are sealed under the master key, which is not in the file. Keep both, apart."


def say_rows(table: str, rows: int) -> None:
    """Progress: one line a table."""
    output.say(f"  {table}: {rows:,} rows")


@click.command(
    help="""Write all that an organization has into a file, as of one moment, while it works.

FILE becomes a zip of JSON lines, one member a table, with a manifest. Secrets are left out unless asked for."""
)
@click.argument("slug")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--with-credentials", is_flag=True, help="The secrets too, sealed as they are stored.")
def export(slug: str, file: Path, with_credentials: bool) -> None:
    async def act(house: House) -> dict[str, Any]:
        from fleetprompt.tenancy import parse_slug
        from fleetprompt.tenancy.export import export_organization

        org = parse_slug(slug)
        return await export_organization(
            house.database, org, file, with_credentials=with_credentials, told=say_rows
        )

    about = in_house(act)
    output.say(f"{file} holds {slug} as of {about['exported_at']}.")
    output.say(SECRETS if with_credentials else "Its secrets are not in it (--with-credentials).")


@click.command(
    "import",
    help="""Make an organization from a file of `org export`. It comes suspended: look, then `org resume`.

Without secrets in the file, its installations come disabled. Under another name it is a copy to look at, without
secrets and without the jobs that wait in the original.""",
)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--as", "slug", metavar="SLUG", default=None, help="Another name than its own.")
def import_(file: Path, slug: str | None) -> None:
    async def act(house: House) -> str:
        from fleetprompt.packages.grants import complete
        from fleetprompt.tenancy import parse_slug
        from fleetprompt.tenancy.restore import restore_organization

        target = None if slug is None else parse_slug(slug)
        _require_key(house, file, slug)
        made = await restore_organization(house.database, file, slug=target, told=say_rows)
        await complete(house.tenancy, made)  # the file may be of a program that had no grants yet
        return made

    made = in_house(act)
    output.say(f"Organization {made} is there, suspended. Next: fleetprompt org resume {made}")


def _require_key(house: House, file: Path, slug: str | None) -> None:
    """Raises WrongMasterKey before anything is stored that could not be opened."""
    from fleetprompt.tenancy.restore import open_organization, wrapped_key_of

    with open_organization(file) as archive:
        key, own = wrapped_key_of(archive), archive.about["slug"]
    if key is not None and slug in (None, own):
        house.master_key.unwrap(own, key)

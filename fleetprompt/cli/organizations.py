"""`fleetprompt org`: organizations, each with a schema of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import rich_click as click

from fleetprompt.cli import options, organization_files, output
from fleetprompt.cli.members import check_owner, make_owner
from fleetprompt.cli.running import in_house

if TYPE_CHECKING:
    from fleetprompt.composition import House
    from fleetprompt.model import Organization

FIELDS = ("slug", "name", "state", "plan", "schema_revision", "schema_error", "created_at")
SHOWN = (*FIELDS, "id", "limits", "schema_attempted_at")


@click.group("org")
def organizations() -> None:
    """Organizations: who there is, each with its own schema."""


@organizations.command(
    help=f"""Make an organization, or finish making one that was interrupted.

SLUG is 1 to 40 lower-case letters, digits or underscores. With --owner the same again changes nothing either.

{options.fields(FIELDS)}"""
)
@click.argument("slug")
@click.option("--name", default="", help="What people call it.")
@click.option("--owner", metavar="EMAIL", help="Who owns it; the first of its members.")
@options.as_json
def create(slug: str, name: str, owner: str | None, as_json: bool) -> None:
    async def act(house: House) -> Organization:
        from fleetprompt.tenancy import parse_slug
        from fleetprompt.tenancy.organizations import create_organization

        await check_owner(house, owner)
        made = await create_organization(house.database, parse_slug(slug), name=name)
        await make_owner(house, parse_slug(slug), owner)
        return made

    made = in_house(act)
    if as_json:
        output.show_json([output.pick(made, FIELDS)])
    else:
        output.say(
            f"Organization {made.slug} is {made.state}. Next: fleetprompt agent create NAME --org {made.slug}"
        )


@organizations.command("list", help=f"All organizations.\n\n{options.fields(FIELDS)}")
@options.as_json
def list_(as_json: bool) -> None:
    async def act(house: House) -> list[Organization]:
        from fleetprompt.tenancy.organizations import list_organizations

        return await list_organizations(house.database)

    rows = [output.pick(found, FIELDS) for found in in_house(act)]
    columns = ("slug", "name", "state", "schema_revision", "created_at")
    nothing = "There is no organization yet. Make one: fleetprompt bootstrap --org SLUG --owner EMAIL"
    output.show_rows(rows, columns, as_json=as_json, nothing=nothing)


@organizations.command(help=f"One organization with its limits.\n\n{options.fields(SHOWN)}")
@click.argument("slug")
@options.as_json
def show(slug: str, as_json: bool) -> None:
    async def act(house: House) -> Organization:
        from fleetprompt.tenancy import parse_slug
        from fleetprompt.tenancy.organizations import find_organization

        return await find_organization(house.database, parse_slug(slug))

    output.show_one(output.pick(in_house(act), SHOWN), as_json=as_json)


@organizations.command(
    "set",
    help=f"Change an organization's limits: cost_usd_per_day, runs_per_hour, tool_calls_per_hour, running_jobs.\n\n{options.fields(SHOWN)}",
)
@click.argument("slug")
@click.option(
    "--limit", "limits", multiple=True, required=True, metavar="KEY=VALUE", help="As runs_per_hour=500."
)
@options.as_json
def set_(slug: str, limits: tuple[str, ...], as_json: bool) -> None:
    async def act(house: House) -> Organization:
        from fleetprompt.tenancy import parse_slug
        from fleetprompt.tenancy.limits import set_limits
        from fleetprompt.tenancy.organizations import find_organization

        await set_limits(house.database, parse_slug(slug), options.merged({}, limits))
        return await find_organization(house.database, parse_slug(slug))

    output.show_one(output.pick(in_house(act), SHOWN), as_json=as_json)


@organizations.command(
    help=f"""Let an organization rest: what comes in is recorded, and answered after `org resume`.

What runs at this moment ends; connections stay.

{options.fields(SHOWN)}"""
)
@click.argument("slug")
@options.as_json
def suspend(slug: str, as_json: bool) -> None:
    async def act(house: House) -> Organization:
        from fleetprompt.tenancy import parse_slug
        from fleetprompt.tenancy.suspension import suspend as rest

        return await rest(house.database, parse_slug(slug))

    output.show_one(output.pick(in_house(act), SHOWN), as_json=as_json)


@organizations.command(
    help=f"Work for a suspended organization again, with what waited first.\n\n{options.fields(SHOWN)}"
)
@click.argument("slug")
@options.as_json
def resume(slug: str, as_json: bool) -> None:
    async def act(house: House) -> Organization:
        from fleetprompt.tenancy import parse_slug
        from fleetprompt.tenancy.suspension import resume as go_on

        return await go_on(house.database, parse_slug(slug))

    output.show_one(output.pick(in_house(act), SHOWN), as_json=as_json)


@organizations.command(
    help="""Remove an organization and all its data, for good.

Its jobs are canceled and its connections closed first. Safe to interrupt: the same command goes on. Keep a copy
before: `fleetprompt org export SLUG FILE`."""
)
@click.argument("slug")
@click.option("--confirm", required=True, metavar="SLUG", help="The same name again.")
def delete(slug: str, confirm: str) -> None:
    async def act(house: House) -> bool:
        from fleetprompt.kernel.errors import InvalidInput
        from fleetprompt.tenancy import parse_slug
        from fleetprompt.tenancy.removal import delete_organization

        if confirm != slug:
            raise InvalidInput(f"--confirm does not repeat {slug!r}.", "Nothing was removed.")
        return await delete_organization(house.database, parse_slug(slug), told=output.say)

    role_is_gone = in_house(act)
    left = (
        "" if role_is_gone else f" Its role r_org_{slug} stays: another database of this server may use it."
    )
    output.say(f"Organization {slug} is gone.{left}")


@organizations.command(help="Bring one organization's schema to this program's version.")
@click.argument("slug")
def migrate(slug: str) -> None:
    async def act(house: House) -> Organization:
        from fleetprompt.database.migrate import migrate_public
        from fleetprompt.tenancy import parse_slug
        from fleetprompt.tenancy.organizations import create_organization, find_organization

        await migrate_public(house.database)
        await find_organization(house.database, parse_slug(slug))
        return await create_organization(house.database, parse_slug(slug))  # finishes what is there

    done = in_house(act, migrate=False)
    output.say(f"{done.slug}: {done.state}, schema {done.schema_revision}")


for command in (organization_files.export, organization_files.import_):
    organizations.add_command(command)

"""`fleetprompt migrate`: the registry, then every organization that is behind, with what became of each."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import rich_click as click

from fleetprompt.cli import options, output
from fleetprompt.cli.running import in_house

if TYPE_CHECKING:
    from fleetprompt.composition import House
    from fleetprompt.tenancy.migrations import Migrated

FIELDS = ("org", "ok", "error")


@click.command(
    help=f"""Bring the registry and all organizations to this program's version.

Safe to interrupt, to run twice, and to run while another does. Exits 1 if an organization failed.

{options.fields(FIELDS)}"""
)
@options.as_json
def migrate(as_json: bool) -> None:
    outcomes = in_house(lambda house: _migrate(house, as_json=as_json), migrate=False)
    sys.exit(1 if any(outcome.error for outcome in outcomes) else 0)


async def _migrate(house: House, *, as_json: bool) -> list[Migrated]:
    from fleetprompt.database.migrate import migrate_public
    from fleetprompt.packages.publishing import publish_first_party
    from fleetprompt.tenancy.migrations import migrate_tenants

    done, behind = 0, 0

    def announce(count: int) -> None:
        nonlocal behind
        behind = count

    def progress(outcome: Migrated) -> None:
        nonlocal done
        done += 1
        row = {"org": outcome.slug, "ok": outcome.error is None, "error": outcome.error}
        if as_json:
            output.show_json([row])
        else:
            output.say(f"  {done}/{behind} {outcome.slug}: {outcome.error or 'ok'}")

    revision = await migrate_public(house.database)
    for failure in await publish_first_party(house.database):
        output.warn(output.harmless(failure))
    if not as_json:
        output.say(f"Registry: {revision}")
    outcomes = await migrate_tenants(house.database, announce=announce, progress=progress)
    if not as_json:
        output.say(_summary(outcomes))
    return outcomes


def _summary(outcomes: list[Migrated]) -> str:
    failed = sum(outcome.error is not None for outcome in outcomes)
    if failed:
        return f"{failed} of {len(outcomes)} organizations failed. Mend the cause and run this again; the others are done."
    return f"{len(outcomes)} organizations migrated." if outcomes else "Every organization is up to date."

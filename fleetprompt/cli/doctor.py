"""`fleetprompt doctor`: is everything in order, and what to do about what is not."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import rich_click as click

from fleetprompt.cli import options, output
from fleetprompt.cli.running import read_settings

if TYPE_CHECKING:
    from fleetprompt.doctor import Finding

FIELDS = ("check", "level", "org", "detail", "remedy")
COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command(
    help=f"""Look whether everything is in order: database, schemas, keys, disk, jobs, installations.

Exits 1 if something does not work. Changes nothing without --mend; that never deletes data.

{options.fields(FIELDS)}"""
)
@click.option("--org", metavar="SLUG", help="Of this organization alone.")
@click.option(
    "--mend", is_flag=True, help="Finish interrupted organizations, adopt orphan schemas, make roles."
)
@options.as_json
def doctor(org: str | None, mend: bool, as_json: bool) -> None:
    sys.exit(asyncio.run(_examine(org, mend=mend, as_json=as_json)))


async def _examine(org: str | None, *, mend: bool, as_json: bool) -> int:
    from fleetprompt.doctor import Level, examine
    from fleetprompt.tenancy import parse_slug

    failed = 0
    slug = None if org is None else parse_slug(org)
    async for finding in examine(read_settings(), org=slug, mend=mend):
        failed += finding.level is Level.FAIL
        if as_json:
            output.show_json([output.pick(finding, FIELDS)])
        else:
            _say(finding)
    return 1 if failed else 0


def _say(finding: Finding) -> None:
    where = f"{finding.org}: " if finding.org else ""
    level = click.style(f"{finding.level:4}", fg=COLOURS[finding.level])
    click.echo(f"{level}  {finding.check}: {output.harmless(where + finding.detail)}")
    if finding.remedy:
        output.say(output.harmless(f"      {finding.remedy}"))

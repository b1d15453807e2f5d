"""`fleetprompt package audit`: what happened to installations, told from the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import rich_click as click

from fleetprompt.cli import options, output
from fleetprompt.cli.running import in_tenant

if TYPE_CHECKING:
    from fleetprompt.composition import House
    from fleetprompt.packages.history import Entry
    from fleetprompt.tenancy import TenantSession

ENTRY = (
    "directive_id", "installation_id", "package", "name", "what", "asked_by", "asked_at", "plan", "approved_by",
    "state", "error_code", "error", "ended_at",
)  # fmt: skip
STEP = ("at", "what", "who", "detail")
AUDIT = (*ENTRY, "steps")


@click.command(
    help=f"""Who asked for what, when, by which plan, step by step, and how it ended.

KEY: a directive's id, an installation's id, or a package; without it all of the organization, the newest entries.

{options.fields(AUDIT)}"""
)
@click.argument("key", required=False, default="")
@options.org
@options.limit
@options.as_json
def audit(key: str, org: str, limit: int, as_json: bool) -> None:
    async def act(_: House, session: TenantSession) -> Sequence[Entry]:
        from fleetprompt.packages.history import audit as read

        return await read(session, key, limit=limit)

    found = in_tenant(org, act)
    if as_json:
        output.show_json([_row(one) for one in found])
    elif not found:
        output.say("Nothing was ever installed here.")
    else:
        for one in found:
            _say(one)


def _row(one: Entry) -> dict[str, Any]:
    return {**output.pick(one, ENTRY), "steps": [output.pick(step, STEP) for step in one.steps]}


def _say(one: Entry) -> None:
    name = f" {one.name}" if one.name else ""
    end = f", {one.state}" if one.state else ""
    line = f"{output.when(one.asked_at)}  {one.what} {one.package}{name}: asked by {one.asked_by}{end}"
    output.say(output.harmless(line))
    for label, value in (
        ("directive", one.directive_id),
        ("plan", _words(one.plan)),
        ("agreed", one.approved_by),
    ):
        if value:
            output.say(output.harmless(f"    {label:10} {value}"))
    for step in one.steps:
        output.say(
            output.harmless(f"    {output.when(step.at)}  {step.what}  {_words(step.detail)}".rstrip())
        )
    if one.error:
        output.say(output.harmless(f"    {one.error_code}: {one.error}"))


def _words(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {output.plain({'v': value})['v']}" for name, value in values.items())

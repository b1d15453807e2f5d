"""`fleetprompt package upgrade` and `rollback`: another version of what is installed."""

from __future__ import annotations

import rich_click as click

from fleetprompt.cli import asking, options


@click.command(
    help=f"""Let another version take over: its scopes and settings are shown, then it is tried on the far side.

PACKAGE or PACKAGE@VERSION. A version that may do more waits for --consent (or `directives approve`) while the one there
goes on. If it does not work, the one there goes on.

{options.fields(asking.RESULT)}"""
)
@click.argument("package")
@options.org
@asking.name_option
@click.option("--consent", is_flag=True, help="Agree to what the new version may do more.")
@asking.dry_run
@asking.given
@options.as_json
def upgrade(
    package: str, org: str, name: str, consent: bool, dry_run: bool, as_json: bool, given: asking.Given
) -> None:
    asking.ask("upgrade", package, org, name, as_json, {**given, "consent": consent}, dry_run=dry_run)


@click.command(
    help=f"""Go back to the version that the last upgrade left, with its settings as they were then.

{options.fields(asking.RESULT)}"""
)
@click.argument("package")
@options.org
@asking.name_option
@options.as_json
def rollback(package: str, org: str, name: str, as_json: bool) -> None:
    asking.ask("rollback", package, org, name, as_json, {})


COMMANDS = (upgrade, rollback)

"""`fleetprompt package`: what can be installed, and the installations of an organization."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import rich_click as click

from fleetprompt.cli import asking, options, output, package_versions, registry
from fleetprompt.cli.asking import RESULT, name_option
from fleetprompt.cli.installations import say_status
from fleetprompt.cli.moments import Moment
from fleetprompt.cli.package_audit import audit
from fleetprompt.cli.running import in_house, require_org

if TYPE_CHECKING:
    from fleetprompt.composition import House
    from fleetprompt.packages.installers import Installer, Line
    from fleetprompt.packages.look import Status

AVAILABLE = ("package", "version", "about", "settings", "secrets")
VALUE = ("signal", "title", "count")
SETTING = ("name", "required", "about")
STATUS = (
    "installation_id", "package", "name", "version", "state", "error", "account", "server_version", "config",
    "generation", "is_listened_to", "waiting", "stuck", "error_code", "missing", "blocked", "connection", "since",
    "last_event_at", "backlog", "last_error", "last_error_code", "last_error_at", "remedy", "blocked_until", "grants",
    "value", "stale", "addresses",
)  # fmt: skip
LINE = ("name", "ok", "detail", "remedy")


@click.group("package")
def packages() -> None:
    """Packages: find, install, test, configure, upgrade, disable, uninstall, audit."""


for command in (*registry.COMMANDS, *package_versions.COMMANDS, audit):
    packages.add_command(command)


@packages.command("list", help=f"What can be installed, with its settings.\n\n{options.fields(AVAILABLE)}")
@options.as_json
def list_(as_json: bool) -> None:
    async def act(house: House) -> Sequence[Installer]:
        from fleetprompt.packages.planning import installable

        return await installable(house.services.packages)

    rows = [_available(installer) for installer in in_house(act)]
    output.show_rows(rows, ("package", "version", "about"), as_json=as_json, nothing="There are no packages.")
    if not as_json:
        for row in rows:
            output.say(f"\nSettings of {row['package']} (secrets: {', '.join(row['secrets'])}):")
            output.show_rows(row["settings"], SETTING, as_json=False, nothing="  none")


def _available(installer: Installer) -> dict[str, Any]:
    settings = [
        dict(zip(SETTING, (name, field.is_required(), field.description or ""), strict=True))
        for name, field in installer.config.model_fields.items()
    ]
    return {
        "package": installer.package,
        "version": installer.version,
        "about": installer.about,
        "settings": settings,
        "secrets": [*installer.secrets, *installer.optional_secrets],
    }


@packages.command(
    help=f"""Install a package: its settings are tried on the far side, then it listens.

Without a version (mattermost@1.0.0) the highest of the registry that is not withdrawn.

fleetprompt package install mattermost --org acme --set server_url=https://chat.example.org --set team=main
--secret bot_token=env:BOT_TOKEN

{options.fields(RESULT)}"""
)
@click.argument("package")
@options.org
@name_option
@click.option(
    "--since",
    type=Moment(),
    metavar="MOMENT",
    help="Also what came from then on (mailboxes): 2026-11-21T15:04 or 2h.",
)
@asking.given
@options.as_json
def install(
    package: str, org: str, name: str, since: datetime | None, as_json: bool, given: asking.Given
) -> None:
    if since is not None:
        given["config"]["since"] = since.isoformat(timespec="seconds")
    asking.ask("install", package, org, name, as_json, given)


@packages.command(
    help=f"""Change some settings or secrets. They are tried first; if they do not work, all stays as it is.

{options.fields(RESULT)}"""
)
@click.argument("package")
@options.org
@name_option
@click.option("--revoke", multiple=True, metavar="SCOPE", help="Take an optional scope back.")
@asking.dry_run
@asking.given
@options.as_json
def configure(
    package: str,
    org: str,
    name: str,
    revoke: Sequence[str],
    dry_run: bool,
    as_json: bool,
    given: asking.Given,
) -> None:
    given["revoked"] = revoke
    if not any(given.values()):
        raise click.UsageError("Say what to change: --set KEY=VALUE, --secret NAME=env:VAR, --grant SCOPE.")
    asking.ask("configure", package, org, name, as_json, given, dry_run=dry_run)


def _simple(verb: str, about: str) -> None:
    @packages.command(verb, help=f"{about}\n\n{options.fields(RESULT)}")
    @click.argument("package")
    @options.org
    @name_option
    @options.as_json
    def change(package: str, org: str, name: str, as_json: bool) -> None:
        asking.ask(verb, package, org, name, as_json, {})


@packages.command(
    help=f"""Listen and post again; what was written meanwhile is history, unless you say --catch-up.

{options.fields(RESULT)}"""
)
@click.argument("package")
@options.org
@name_option
@click.option(
    "--catch-up", is_flag=True, help="Go on where reading ended: answer what was written meanwhile."
)
@options.as_json
def enable(package: str, org: str, name: str, catch_up: bool, as_json: bool) -> None:
    asking.ask("enable", package, org, name, as_json, {"catch_up": catch_up})


_simple("disable", "Neither listen nor post, until enabled again.")
_simple("uninstall", "Forget secrets and position and free the account; the record stays.")


@packages.command(
    help=f"""Try an installation's settings on the far side, line by line; changes nothing.

{options.fields(LINE)}"""
)
@click.argument("package")
@options.org
@name_option
@options.as_json
def test(package: str, org: str, name: str, as_json: bool) -> None:
    async def act(house: House) -> Sequence[Line]:
        from fleetprompt.packages import look

        return await look.check_installation(
            house.services.packages, await require_org(house, org), package, name=name
        )

    lines = in_house(act)
    if as_json:
        output.show_json([output.pick(line, LINE) for line in lines])
    else:
        for line in lines:
            output.say(output.harmless(f"{'ok  ' if line.ok else 'fail'}  {line.name}: {line.detail}"))
            if line.remedy and not line.ok:
                output.say(output.harmless(f"      {line.remedy}"))
    sys.exit(0 if all(line.ok for line in lines) else 1)


@packages.command(
    help=f"""The installations of an organization: connected, since when, last event, last error and remedy.

{options.fields(STATUS)}"""
)
@click.argument("package", required=False)
@options.org
@options.as_json
def status(package: str | None, org: str, as_json: bool) -> None:
    async def act(house: House) -> Sequence[Status]:
        from fleetprompt.packages import look

        return await look.status(house.services.packages, await require_org(house, org), package)

    found = in_house(act)
    if as_json:
        output.show_json([output.pick(one, STATUS) for one in found])
    elif not found:
        output.say("Nothing is installed. See: fleetprompt package list")
    else:
        for one in found:
            say_status(one)

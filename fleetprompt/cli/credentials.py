"""`fleetprompt package secret` and `reauth`: one secret of an installation, given, replaced or taken away."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import rich_click as click

from fleetprompt.cli import options, output
from fleetprompt.cli.running import in_house, operator, require_org
from fleetprompt.cli.secrets import read_secret, read_stdin

if TYPE_CHECKING:
    from uuid import UUID

    from fleetprompt.composition import House
    from fleetprompt.kernel.ids import TenantSlug
    from fleetprompt.kernel.secret import Secret
    from fleetprompt.model import Installation
    from fleetprompt.packages.house import House as Packages
    from fleetprompt.packages.inline import Ended

END = ("state", "error_code", "error", "receipt")
RESULT = ("package", "name", "installation_id", "directive_id", *END)
name_option = click.option("--name", default="", help="Tells several installations of one package apart.")
FROM = "Where it is: env:VARIABLE, or file:PATH in a directory that secrets are read from."


@click.command(
    help=f"""Give an installation a secret, or another one. The far side is tried first; what it refuses is not kept.

fleetprompt package secret mattermost bot_token --org acme --from env:NEW_TOKEN

Without --from, --stdin or --revoke it is asked for, and not shown.

{options.fields(RESULT)}"""
)
@click.argument("package")
@click.argument("credential", required=False)
@options.org
@name_option
@click.option("--from", "place", metavar="env:VAR", help=FROM)
@click.option("--stdin", "from_stdin", is_flag=True, help="Read it from standard input.")
@click.option("--revoke", is_flag=True, help="Take it away at once; what cannot work without it is disabled.")
@options.as_json
def secret(
    package: str,
    credential: str | None,
    org: str,
    name: str,
    place: str | None,
    from_stdin: bool,
    revoke: bool,
    as_json: bool,
) -> None:
    if sum((place is not None, from_stdin, revoke)) > 1:
        raise click.UsageError("Say one of --from, --stdin and --revoke.")
    if revoke:
        _see(package, org, name, credential, as_json, _taken_away)
    else:
        _give(package, org, name, credential, as_json, place, from_stdin)


@click.command(
    help=f"""Log in anew, after the far side refused what it was given: `package status` says so (credential_refused).

fleetprompt package reauth proton-mail --org acme --from env:BRIDGE_PASSWORD

{options.fields(RESULT)}"""
)
@click.argument("package")
@options.org
@name_option
@click.option("--from", "place", metavar="env:VAR", help=FROM)
@click.option("--stdin", "from_stdin", is_flag=True, help="Read it from standard input.")
@options.as_json
def reauth(package: str, org: str, name: str, place: str | None, from_stdin: bool, as_json: bool) -> None:
    _give(package, org, name, None, as_json, place, from_stdin)


Act = Callable[["Packages", "TenantSlug", "Installation", str], Awaitable[tuple["UUID | None", "Ended"]]]


def _give(
    package: str,
    org: str,
    name: str,
    credential: str | None,
    as_json: bool,
    place: str | None,
    from_stdin: bool,
) -> None:
    given = _read(credential or "it", place, from_stdin)

    async def act(
        house: Packages, tenant: TenantSlug, installation: Installation, wanted: str
    ) -> tuple[UUID | None, Ended]:
        from fleetprompt.packages import lifecycle
        from fleetprompt.packages.inline import Ended, run_now

        asked = await lifecycle.provide_secret(house, tenant, installation.id, wanted, given, operator())
        if asked.missing:
            return None, Ended("needs_config", "config", None, {"missing": list(asked.missing)})
        return asked.requested, await run_now(house, tenant, asked.directive_id)

    _see(package, org, name, credential, as_json, act)


def _read(name: str, place: str | None, from_stdin: bool) -> Secret:
    from fleetprompt.kernel.secret import Secret

    if place is not None:
        return read_secret(name, place)
    if from_stdin or not sys.stdin.isatty():
        return read_stdin()
    return Secret(click.prompt("The secret", hide_input=True).strip())


async def _taken_away(
    house: Packages, tenant: TenantSlug, installation: Installation, wanted: str
) -> tuple[UUID | None, Ended]:
    from fleetprompt.packages.inline import Ended
    from fleetprompt.packages.revoking import revoke_secret

    state = await revoke_secret(house, tenant, installation.id, wanted, operator())
    return None, Ended("succeeded", None, None, {"revoked": wanted, "state": state})


def _see(package: str, org: str, name: str, credential: str | None, as_json: bool, act: Act) -> None:
    """Do it, and say what came of it."""

    async def run(house: House) -> tuple[Installation, UUID | None, Ended]:
        from fleetprompt.packages.find import find_installation
        from fleetprompt.packages.revoking import named_secret

        tenant = await require_org(house, org)
        packages = house.services.packages
        async with packages.tenancy.session(tenant) as session:
            installation = await find_installation(session, package, name)
        wanted = named_secret(packages.installers.find(package), credential)
        return installation, *await act(packages, tenant, installation, wanted)

    installation, directive_id, ended = in_house(run)
    is_fine = ended.succeeded or ended.state == "needs_config"
    if as_json:
        ids = {"installation_id": installation.id, "directive_id": directive_id}
        row = {"package": package, "name": installation.name, **ids, **output.pick(ended, END)}
        output.show_json([row])
    elif is_fine:
        output.say(output.harmless(_said(package, org, ended)))
    else:
        output.warn(output.harmless(ended.error or f"The directive is {ended.state}."))
    sys.exit(0 if is_fine else 1)


def _said(package: str, org: str, ended: Ended) -> str:
    receipt = ended.receipt
    if "revoked" in receipt:
        return (
            f"{receipt['revoked']} of {package} is gone; {package} is {receipt['state']}. Revoke it where it comes from, too. "
            f"Another one: fleetprompt package secret {package} {receipt['revoked']} --org {org}"
        )
    if "missing" in receipt:
        return f"It is kept. {package} still waits for {', '.join(receipt['missing'])}."
    return f"It works, and {package} uses it."

"""Asking for a change of an installation: what a person gives, the diff they are shown, and what came of it."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import rich_click as click

from fleetprompt.cli import output
from fleetprompt.cli.installations import done
from fleetprompt.cli.options import parsed
from fleetprompt.cli.package_plans import plan_of, planned
from fleetprompt.cli.running import in_house, operator, require_org
from fleetprompt.cli.secrets import read_secrets

if TYPE_CHECKING:
    from fleetprompt.composition import House
    from fleetprompt.kernel.ids import TenantSlug
    from fleetprompt.packages.inline import Ended
    from fleetprompt.packages.lifecycle import Asked

IDS = ("installation_id", "directive_id")
END = ("state", "error_code", "error", "receipt")
RESULT = ("package", "name", *IDS, *END)
PINNED: Final = ("install", "upgrade")
"""Verbs that take PACKAGE@VERSION."""

Given = dict[str, Any]
"""`config`, `secrets` and `grants`, as a person gave them."""

dry_run = click.option("--dry-run", is_flag=True, help="Show what would change; change nothing.")


def given(command: Callable[..., None]) -> Callable[..., None]:
    """Settings and secrets, as `install` and `configure` take them; the command gets both as `given`."""

    @functools.wraps(command)
    def read(
        settings: Sequence[str],
        secrets: Sequence[str],
        secret_stdin: str | None,
        grants: Sequence[str],
        **words: Any,
    ) -> None:
        command(given={**_read_given(settings, secrets, secret_stdin), "grants": grants}, **words)

    for option in (
        click.option("--grant", "grants", multiple=True, metavar="SCOPE", help="Grant an optional scope."),
        click.option("--secret-stdin", metavar="NAME", help="Read this secret from standard input."),
        click.option(
            "--secret",
            "secrets",
            multiple=True,
            metavar="NAME=env:VAR",
            help="A secret from a variable (env:VAR) or a file (file:PATH).",
        ),
        click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="KEY=VALUE",
            help="A setting; JSON for lists and objects.",
        ),
    ):
        read = option(read)
    return read


name_option = click.option("--name", default="", help="Tells several installations of one package apart.")


def _read_given(settings: Sequence[str], secrets: Sequence[str], secret_stdin: str | None) -> Given:
    config: dict[str, Any] = {}
    for pair in settings:
        name, separator, value = pair.partition("=")
        if not separator:
            raise click.UsageError(f"{name[:60]!r} is no KEY=VALUE: write --set team=main.")
        config[name] = parsed(value) if value[:1] in ("[", "{", '"') else value
    return {"config": config, "secrets": dict(read_secrets(secrets, secret_stdin))}


def _refuse_secret_settings(house: House, package: str, given: Given) -> None:
    from fleetprompt.cli.secrets import ADVICE
    from fleetprompt.kernel.errors import InvalidInput

    installer = house.services.packages.installers.by_package.get(package)
    for name in installer.secrets if installer is not None else ():
        if name in given.get("config", {}):
            raise InvalidInput(f"{name} is a secret, not a setting.", ADVICE.format(name=name))


def ask(
    verb: str, package: str, org: str, name: str, as_json: bool, given: Given, *, dry_run: bool = False
) -> None:
    """Show what would change, record what is asked for, see it done (here, if no worker is faster), say what came of it."""
    slug = package.partition("@")[0] if verb in PINNED else package

    async def act(house: House) -> tuple[Asked | None, Ended]:
        tenant = await require_org(house, org)
        _refuse_secret_settings(house, slug, given)
        plan = await plan_of(house.services.packages, tenant, verb, package, name, given)
        if plan is not None and not as_json:
            plan.say()
        if dry_run:
            return None, planned(plan)
        return await record(house, tenant, verb, package, name, given)

    asked, ended = in_house(act)
    if as_json:
        ids = {"installation_id": asked and asked.installation_id, "directive_id": asked and asked.requested}
        output.show_json([{"package": slug, "name": name, **ids, **output.pick(ended, END)}])
    elif ended.succeeded:
        output.say(done(verb, slug, org, ended.receipt))
    elif not dry_run:
        output.warn(output.harmless(ended.error or f"The directive is {ended.state}."))
    sys.exit(0 if ended.succeeded or dry_run else 1)


async def record(
    house: House, tenant: TenantSlug, verb: str, package: str, name: str, given: Given
) -> tuple[Asked, Ended]:
    """What is asked for, and its end, unless it waits: for settings, or for consent."""
    from fleetprompt.packages import lifecycle
    from fleetprompt.packages.inline import run_now

    services, handler = house.services.packages, getattr(lifecycle, verb)
    asked = await handler(services, tenant, package, actor=operator(), name=name, **given)
    if asked.missing:
        return asked, _waiting(package, asked.missing)
    if await _needs_consent(house, tenant, asked):
        return asked, _unconsented(asked, tenant)
    return asked, await run_now(services, tenant, asked.directive_id)


async def _needs_consent(house: House, tenant: TenantSlug, asked: Asked) -> bool:
    from fleetprompt.model import Directive
    from fleetprompt.model.states import DirectiveState

    async with house.tenancy.session(tenant) as session:
        directive = await session.get(Directive, asked.directive_id)
    return directive is not None and directive.state == DirectiveState.AWAITING_APPROVAL


def _unconsented(asked: Asked, tenant: TenantSlug) -> Ended:
    """The version there goes on."""
    from fleetprompt.packages.inline import Ended

    agree = f"fleetprompt directives approve {asked.directive_id} --org {tenant}"
    what = f"It may do more than the version there, which goes on until you agree: {agree}"
    return Ended("awaiting_approval", "consent", what, {})


def _waiting(package: str, missing: Sequence[str]) -> Ended:
    """Nothing runs yet."""
    from fleetprompt.packages.inline import Ended
    from fleetprompt.packages.missing import remedy_of, spoken

    what = f"{package} waits for {spoken(missing)}. {remedy_of(package, missing)}"
    return Ended("needs_config", "config", what, {"missing": list(missing)})

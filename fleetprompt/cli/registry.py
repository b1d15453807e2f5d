"""The registry's part of `fleetprompt package`: browse, look at, withdraw; lint and sign for those who write packages."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from fleetprompt.cli import options, output
from fleetprompt.cli.running import in_house

if TYPE_CHECKING:
    from fleetprompt.composition import House
    from fleetprompt.packages.info import PackageInfo
    from fleetprompt.packages.manifest import Fault
    from fleetprompt.packages.published import Published

FOUND = ("package", "version", "name", "author", "category", "kind", "summary", "state", "installable")
VERSION = ("version", "state", "reason", "published_at")
INFO = (
    "package", "version", "name", "author", "category", "kind", "summary", "description", "platform", "state", "reason",
    "problem", "digest", "key", "provides", "requires", "plan", "signals", "directives", "permissions", "config",
    "credentials", "limits", "health", "uninstall", "value", "versions",
)  # fmt: skip
WITHDRAWN = ("package", "version", "state", "reason")
FAULT = ("file", "line", "path", "problem", "advice")

why = click.option("--reason", required=True, help="One line, shown to whoever asks for this version.")


@click.command(help=f"Find packages; without TEXT all of them.\n\n{options.fields(FOUND)}")
@click.argument("text", required=False, default="")
@options.as_json
def search(text: str, as_json: bool) -> None:
    async def act(house: House) -> Sequence[Any]:
        from fleetprompt.packages.info import find_packages

        return await find_packages(house.services.packages, text)

    rows = [output.pick(one, FOUND) for one in in_house(act)]
    nothing = f"No package speaks of {text!r}. See all: fleetprompt package search"
    columns = ("package", "version", "category", "state", "installable", "summary")
    output.show_rows(rows, columns, as_json=as_json, nothing=output.harmless(nothing))


@click.command(
    help=f"""What a package adds, needs, asks for and costs, before you install it.

PACKAGE may name a version: mattermost@1.0.0.

{options.fields(INFO)}"""
)
@click.argument("package")
@options.as_json
def info(package: str, as_json: bool) -> None:
    async def act(house: House) -> PackageInfo:
        from fleetprompt.packages.info import describe

        return await describe(house.services.packages, package)

    found = in_house(act)
    if as_json:
        output.show_json([output.pick(found, INFO)])
    else:
        from fleetprompt.cli.package_text import told

        output.say(output.harmless(told(found)))


def _withdrawal(verb: str, about: str) -> click.Command:
    @click.command(verb, help=f"{about}\n\n{options.fields(WITHDRAWN)}")
    @click.argument("package")
    @click.argument("version")
    @why
    @options.as_json
    def withdraw(package: str, version: str, reason: str, as_json: bool) -> None:
        async def act(house: House) -> Published:
            from fleetprompt.packages import withdrawing

            return await getattr(withdrawing, verb)(house.database, package, version, reason)  # type: ignore[no-any-return]

        done = in_house(act)
        values = (done.row.package, done.row.version, done.state, done.reason)
        row = dict(zip(WITHDRAWN, values, strict=True))
        if as_json:
            output.show_json([row])
        else:
            output.say(output.harmless(f"{done.label} is {done.state}: {done.reason}."))

    return withdraw


yank = _withdrawal("yank", "Take a version out of choice; who names it exactly still gets it.")
revoke = _withdrawal("revoke", "Let nobody install a version any more, for good.")


@click.command(
    help=f"""Every fault of a manifest, or of each manifest below a folder, with file and line. Exits 1 if there is any.

{options.fields(FAULT)}"""
)
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@options.as_json
def lint(path: Path, as_json: bool) -> None:
    from fleetprompt.packages.manifest import lint as linting

    faults = linting.lint(path)
    if as_json:
        output.show_json([output.pick(fault, FAULT) for fault in faults])
    else:
        _say_faults(faults)
        if not faults:
            count = len(linting.manifest_files(path))
            output.say(f"{count} manifest{'s are' if count != 1 else ' is'} without fault.")
    sys.exit(1 if faults else 0)


def _say_faults(faults: Sequence[Fault]) -> None:
    for fault in faults:
        output.say(output.harmless(str(fault)))


@click.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.option("--key", required=True, type=click.Path(path_type=Path), help="An Ed25519 private key (PEM).")
@click.option("--replace", is_flag=True, help="Sign again what was signed with another content.")
def sign(folder: Path, key: Path, replace: bool) -> None:
    """Write the signature of each manifest below FOLDER beside it.

    Make a key: openssl genpkey -algorithm ed25519 -out FILE. Keep it out of the repository.
    """
    from fleetprompt.packages.manifest.faults import ManifestRefused
    from fleetprompt.packages.signing_files import sign_folder

    try:
        signed = sign_folder(folder, key, replace=replace)
    except ManifestRefused as refused:
        for fault in refused.faults:
            output.warn(output.harmless(str(fault)))
        sys.exit(1)
    for line in signed:
        output.say(output.harmless(line))


COMMANDS = (search, info, lint, sign, yank, revoke)

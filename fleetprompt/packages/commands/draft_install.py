"""The draft of an install: what is missing beside it comes first, and every version is the one that was shown."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from fleetprompt.kernel.errors import Conflict, InvalidInput
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.kernel.names import checked_name
from fleetprompt.model import Installation
from fleetprompt.packages.asking import UNFINISHED
from fleetprompt.packages.checking import check_agents
from fleetprompt.packages.commands.consent import consent_lines
from fleetprompt.packages.commands.drafts import Draft, Wish, as_it_is
from fleetprompt.packages.commands.enums import check_enums
from fleetprompt.packages.find import live_installations
from fleetprompt.packages.grants import check_grants
from fleetprompt.packages.house import House
from fleetprompt.packages.installing import accepted
from fleetprompt.packages.manifest import Manifest
from fleetprompt.packages.planning import PRESENT, plan, require_installer
from fleetprompt.packages.published import choose, find_version, refuse_platform
from fleetprompt.packages.resolve import Candidate


async def draft_install(house: House, tenant: TenantSlug, wish: Wish) -> Draft:
    """Raises what an install of these settings would, before anything is written."""
    published = await choose(house.tenancy.database, wish["package"], wish["version"] or None)
    manifest = published.verified()
    refuse_platform(manifest)
    if wish["name"]:
        checked_name(wish["name"], "An installation's name")
    async with house.tenancy.session(tenant) as session:
        live = await live_installations(session)
        await check_agents(session, wish["settings"])
    refuse_present(live, manifest, wish["name"])
    lines, missing = await _own_lines(house, manifest, live, wish)
    others = await _needed(house, manifest, live)
    steps = [_step(one.manifest, {}, (), "") for one in others]
    steps.append(_step(manifest, wish["settings"], wish["scopes"], wish["name"]))
    basis = {
        "versions": await _digests(house, [*(one.manifest for one in others), manifest]),
        "installations": [
            as_it_is(one) for one in live if one.package in {step["package"] for step in steps}
        ],
    }
    return Draft(
        f"install {manifest.name} {manifest.version}", steps, [*_beside(others), *lines, *missing], basis
    )


def refuse_present(live: Sequence[Installation], manifest: Manifest, name: str) -> None:
    """Raises Conflict for what is there already; what waits for settings is asked for again."""
    for one in live:
        if one.package == manifest.slug and one.name == name and one.state not in UNFINISHED:
            raise Conflict(
                f"{one.package} {one.version} is {one.state} here already.",
                f"See `status {one.package}`; a second one takes a name: `install {one.package}/NAME`.",
            )


async def _own_lines(
    house: House, manifest: Manifest, live: Sequence[Installation], wish: Wish
) -> tuple[list[str], list[str]]:
    installer = require_installer(house, manifest)
    check_grants(manifest, wish["scopes"])
    refuse_secrets(manifest, wish["settings"])
    check_enums(manifest, wish["settings"])
    known = next((one.config for one in live if (one.package, one.name) == (manifest.slug, wish["name"])), {})
    settings, lacking = accepted(installer, manifest, {**known, **wish["settings"]})
    given = [f"**Settings**: {', '.join(f'`{key}={settings[key]}`' for key in sorted(wish['settings']))}"]
    lines = [*(given if wish["settings"] else []), *consent_lines(manifest, wish["scopes"])]
    return lines, _missing(manifest, lacking)


def _missing(manifest: Manifest, lacking: Sequence[str]) -> list[str]:
    if not lacking:
        return []
    about: Mapping[str, Any] = manifest.config.settings.get("properties", {})
    listed = [f"- `{name}`: {about.get(name, {}).get('description', '')}" for name in lacking]
    more = " ".join(f"{name}=..." for name in lacking)
    how = f"Add them now, `install {manifest.slug} {more}`, or afterwards with `configure`; until then it waits."
    return ["**Settings that it still needs**", *listed, how]


def refuse_secrets(manifest: Manifest, settings: Collection[str]) -> None:
    """Raises InvalidInput for a secret that was written into a chat; the value is not said again."""
    for one in manifest.credentials:
        if one.key in settings:
            raise InvalidInput(
                f"`{one.key}` is a secret, and no secret belongs into a chat: whoever reads here has it now.",
                f"Revoke it, make another, and hand that over by the link of `secret {manifest.slug} {one.key}`.",
            )


async def _needed(house: House, manifest: Manifest, live: Sequence[Installation]) -> list[Candidate]:
    """What is missing beside it, in order."""
    installed = {one.package: one.version for one in live if one.state in PRESENT}
    *others, _ = await plan(house.tenancy.database, manifest, installed)
    missing = [one for one in others if not one.is_installed]
    for one in missing:
        require_installer(house, one.manifest)
    return missing


def _beside(others: Sequence[Candidate]) -> list[str]:
    lines = list[str]()
    for one in others:
        lines += [f"**It needs {one.manifest.name} {one.manifest.version}, which is installed first:**"]
        lines += [f"> {line}" for line in consent_lines(one.manifest)]
    return lines


async def _digests(house: House, manifests: Sequence[Manifest]) -> dict[str, str]:
    database = house.tenancy.database
    found = [await find_version(database, one.slug, one.version) for one in manifests]
    return {one.label: f"{one.row.digest} {one.state}" for one in found}


def _step(
    manifest: Manifest, settings: Mapping[str, str], scopes: Sequence[str], name: str
) -> dict[str, Any]:
    return {
        "verb": "install",
        "package": manifest.slug,
        "version": manifest.version,
        "name": name,
        "settings": dict(settings),
        "scopes": list(scopes),
        "revoked": [],
    }

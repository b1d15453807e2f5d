"""The drafts of everything that is done to an installation: other settings, at rest, awake, gone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from fleetprompt.kernel.errors import Conflict, InvalidInput
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import Installation
from fleetprompt.model.states import InstallationState
from fleetprompt.packages import lifecycle
from fleetprompt.packages.commands.draft_install import refuse_secrets
from fleetprompt.packages.commands.drafts import Draft, Wish, as_it_is
from fleetprompt.packages.commands.enums import check_enums
from fleetprompt.packages.configuring import Change
from fleetprompt.packages.dependents import needed_by
from fleetprompt.packages.find import find_installation
from fleetprompt.packages.grants import check_grants, check_revocable
from fleetprompt.packages.house import House
from fleetprompt.packages.manifest import Manifest
from fleetprompt.packages.planning import recheck
from fleetprompt.packages.published import find_version


async def draft_configure(house: House, tenant: TenantSlug, wish: Wish) -> Draft:
    """The diff of the settings."""
    installation = await present(house, tenant, wish)
    manifest = await recheck(house.tenancy.database, installation)
    refuse_secrets(manifest, wish["settings"])
    check_enums(manifest, wish["settings"])
    changes = await lifecycle.plan_configure(
        house, tenant, wish["package"], config=wish["settings"], secrets={}, name=installation.name
    )
    check_grants(manifest, wish["scopes"])
    check_revocable(manifest, wish["revoked"])
    scopes = [
        *(f"- may `{one}` from now on" for one in wish["scopes"]),
        *(f"- may no longer `{one}`" for one in wish["revoked"]),
    ]
    if (
        not changes
        and not scopes
        and installation.state in (InstallationState.INSTALLED, InstallationState.DISABLED)
    ):
        raise InvalidInput(
            "These settings are in force already.", f"See them: `configure {wish['package']}`."
        )
    lines = change_lines(changes)
    told = "They are tried on the far side first; if they do not work, all stays as it is."
    given = {name: wish[name] for name in ("settings", "scopes", "revoked")}
    return draft_of("configure", installation, [*lines, *scopes, told], **given)


async def draft_uninstall(house: House, tenant: TenantSlug, wish: Wish) -> Draft:
    """What goes, what stays; refused while something needs it."""
    installation = await present(house, tenant, wish)
    needing = await needed_by(house, tenant, installation, None)
    if needing:
        raise Conflict(
            f"{installation.package} is needed by {', '.join(needing)}.",
            f"Uninstall that first: `uninstall {needing[0]}`.",
        )
    manifest = await _manifest(house, installation)
    goes = [f"- removed: {row}" for row in manifest.uninstall.removes]
    stays = [
        f"- kept, for {manifest.uninstall.retention_days} days at most: {row}"
        for row in manifest.uninstall.keeps
    ]
    return draft_of("uninstall", installation, [*goes, *stays, *_deaf(wish, installation)])


async def draft_switch(house: House, tenant: TenantSlug, wish: Wish) -> Draft:
    """Enable or disable: there is nothing to read before a yes, but where nobody would hear the next command."""
    installation = await present(house, tenant, wish)
    return draft_of(
        wish["verb"], installation, _deaf(wish, installation) if wish["verb"] == "disable" else []
    )


async def present(house: House, tenant: TenantSlug, wish: Wish) -> Installation:
    """The installation that is meant. Raises NotFound, Conflict."""
    async with house.tenancy.session(tenant) as session:
        return await find_installation(session, wish["package"], wish["name"])


async def _manifest(house: House, installation: Installation) -> Manifest:
    """Also of a version that was revoked: it has to go all the same."""
    return (await find_version(house.tenancy.database, installation.package, installation.version)).verified()


def draft_of(verb: str, installation: Installation, lines: list[str], **more: Any) -> Draft:
    """One step at one installation. more: what the step takes beside that."""
    step = {
        "verb": verb,
        "package": installation.package,
        "version": installation.version,
        "name": installation.name,
        "settings": {},
        "scopes": [],
        "revoked": [],
        **more,
    }
    title = f"{verb} {label(installation)}"
    return Draft(title, [step], lines, {"installations": [as_it_is(installation)]})


def _deaf(wish: Wish, installation: Installation) -> list[str]:
    if wish["chat_id"] != str(installation.id):
        return []
    again = f"fleetprompt package enable {installation.package}"
    return [f"**This is where you write to me.** I hear nobody here afterwards; on the host: `{again}`"]


def change_lines(changes: Sequence[Change]) -> list[str]:
    """Each setting, from old to new."""
    return [
        f"- `{one.name}`: {_value(one.old)} becomes {_value(one.new)}"
        for one in sorted(changes, key=lambda one: one.name)
    ]


def label(installation: Installation) -> str:
    """`proton-mail 1.0.0`, or `proton-mail/sales 1.0.0`."""
    name = f"/{installation.name}" if installation.name else ""
    return f"{installation.package}{name} {installation.version}"


def _value(value: Any) -> str:
    return "nothing" if value in (None, "", [], {}) else f"`{json.dumps(value, ensure_ascii=False)}`"

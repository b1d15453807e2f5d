"""The drafts of another version: what it may do more or less, what becomes of the settings, and the way back."""

from __future__ import annotations

from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import Installation
from fleetprompt.packages import lifecycle
from fleetprompt.packages.commands.consent import permission_line
from fleetprompt.packages.commands.draft_change import change_lines, draft_of, label, present
from fleetprompt.packages.commands.draft_install import refuse_secrets
from fleetprompt.packages.commands.drafts import Draft, Wish
from fleetprompt.packages.commands.enums import check_enums
from fleetprompt.packages.configuring import changes
from fleetprompt.packages.grants import check_grants, compare_scopes
from fleetprompt.packages.house import House
from fleetprompt.packages.lifecycle import UpgradePlan
from fleetprompt.packages.manifest import Manifest
from fleetprompt.packages.manifest.asks import Permission
from fleetprompt.packages.missing import spoken
from fleetprompt.packages.published import find_version
from fleetprompt.packages.targets import target_of
from fleetprompt.packages.upgrading import former_version


async def draft_upgrade(house: House, tenant: TenantSlug, wish: Wish) -> Draft:
    """The diff of scopes and settings; confirming it is the consent to what is wider."""
    installation = await present(house, tenant, wish)
    pin = f"{wish['package']}@{wish['version']}" if wish["version"] else wish["package"]
    planned = await lifecycle.plan_upgrade(
        house, tenant, pin, name=installation.name, config=wish["settings"]
    )
    published = await find_version(house.tenancy.database, planned.package, planned.to_version)
    manifest = published.verified()
    refuse_secrets(manifest, wish["settings"])
    check_enums(manifest, wish["settings"])
    check_grants(manifest, wish["scopes"])
    draft = draft_of("upgrade", installation, _lines(planned), version=planned.to_version, **_given(wish))
    basis = {**draft.basis, "versions": {published.label: published.row.digest}}
    return Draft(f"upgrade {label(installation)} to {planned.to_version}", draft.steps, draft.lines, basis)


async def draft_rollback(house: House, tenant: TenantSlug, wish: Wish) -> Draft:
    """The version that the last upgrade left, with its settings as they were then."""
    installation = await present(house, tenant, wish)
    async with house.tenancy.session(tenant) as session:
        former = await former_version(session, installation)
    target = await target_of(house, tenant, installation, former.version)
    scopes = [
        f"- no longer: {permission_line(one)}"
        for one in _gone(await _here(house, installation), target.manifest)
    ]
    lines = [
        f"`{installation.package}` is {former.version} again, with its settings as they were then.",
        *change_lines(changes(installation.config, former.config, {})),
        *scopes,
        "Secrets stay as they are now. What is provided becomes that version's.",
    ]
    draft = draft_of("rollback", installation, lines, version=former.version)
    return Draft(f"roll {label(installation)} back to {former.version}", draft.steps, lines, draft.basis)


async def _here(house: House, installation: Installation) -> Manifest:
    """Also of a version that was revoked: that is what people go back from."""
    return (await find_version(house.tenancy.database, installation.package, installation.version)).verified()


def _gone(before: Manifest, after: Manifest) -> tuple[Permission, ...]:
    return compare_scopes(before, after).removed


def _given(wish: Wish) -> dict[str, object]:
    return {name: wish[name] for name in ("settings", "scopes")}


def _lines(planned: UpgradePlan) -> list[str]:
    wider = [one for one in planned.scopes.added if one.required]
    optional = [one for one in planned.scopes.added if not one.required]
    lines = ["**It may do more**", *(f"- {permission_line(one)}" for one in wider)] if wider else []
    lines += [f"- not, unless you add it: {permission_line(one)} Add `+{one.grant}`." for one in optional]
    lines += [f"- no longer: {permission_line(one)}" for one in planned.scopes.removed]
    lines += change_lines(planned.changes)
    lines += (
        [f"It needs {spoken(planned.missing)} beside: give settings along, secrets by `secret`."]
        if planned.missing
        else []
    )
    return [*(lines or ["It may do what it may now."]), "Until it works, the version there goes on."]

"""Other settings, other secrets: tried before they take force; until then what runs stays as it is."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fleetprompt.kernel.errors import Conflict, NotFound
from fleetprompt.kernel.ids import InstallationId, TenantSlug, new_id
from fleetprompt.kernel.secret import Secret
from fleetprompt.model import Installation
from fleetprompt.packages.asking import IN_USE, UNFINISHED, Asked, ask, require_state, require_unchanged
from fleetprompt.packages.checking import (
    check_agents,
    check_given_secrets,
    check_secrets,
    checked_config,
    require_secrets_anew,
)
from fleetprompt.packages.find import find_installation
from fleetprompt.packages.grants import check_grants, check_revocable
from fleetprompt.packages.house import House
from fleetprompt.packages.installing import accepted, go_on
from fleetprompt.packages.manifest import Manifest
from fleetprompt.packages.missing import missing_of
from fleetprompt.packages.planning import recheck, require_installer
from fleetprompt.packages.secret_links import settings_of
from fleetprompt.packages.settings_schema import check_settings
from fleetprompt.runtime.signals import Actor
from fleetprompt.tenancy import TenantSession

CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Scopes:
    """Optional ones to be granted, and to be taken back."""

    granted: tuple[str, ...] = ()
    revoked: tuple[str, ...] = ()

    def check(self, manifest: Manifest) -> None:
        """Raises InvalidInput for what the package does not ask for, or cannot do without."""
        check_grants(manifest, self.granted)
        check_revocable(manifest, self.revoked)


@dataclass(frozen=True, slots=True)
class Change:
    """One setting, from old to new (JSON; None = not set). Of a secret it is said only that it changes."""

    name: str
    old: Any
    new: Any


async def configure(
    house: House,
    tenant: TenantSlug,
    package: str,
    *,
    config: Mapping[str, Any],
    secrets: Mapping[str, Secret],
    actor: Actor,
    name: str = "",
    grants: Collection[str] = (),
    revoked: Collection[str] = (),
) -> Asked:
    """Change some settings and secrets. They are tried first; if they do not work, what runs stays as it is.

    An installation that waits for them goes on. grants, revoked: optional scopes.
    """
    async with house.tenancy.session(tenant) as session:
        present = await find_installation(session, package, name)
    scopes = Scopes(tuple(grants), tuple(revoked))
    return await _change(house, tenant, present, config, secrets, actor, scopes)


async def plan_configure(
    house: House,
    tenant: TenantSlug,
    package: str,
    *,
    config: Mapping[str, Any],
    secrets: Mapping[str, Secret],
    name: str = "",
    grants: Collection[str] = (),
    revoked: Collection[str] = (),
) -> Sequence[Change]:
    """What `configure` would change; changes nothing. Raises what `configure` would of these settings."""
    async with house.tenancy.session(tenant) as session:
        installation = await find_installation(session, package, name)
        require_state(installation, *IN_USE, *UNFINISHED)
    manifest = await recheck(house.tenancy.database, installation)
    installer = require_installer(house, manifest)
    check_given_secrets(installer, secrets)
    Scopes(tuple(grants), tuple(revoked)).check(manifest)
    old = installation.config
    new, _ = accepted(installer, manifest, {**old, **config})
    async with house.tenancy.session(tenant) as session:
        await check_agents(session, new)
    given = [Change(f"scope {scope}", None, "granted") for scope in grants]
    taken = [Change(f"scope {scope}", "granted", None) for scope in revoked]
    return [*changes(old, new, secrets), *given, *taken]


def changes(
    old: Mapping[str, Any], new: Mapping[str, Any], secrets: Mapping[str, Secret]
) -> Sequence[Change]:
    """From old settings to new ones, by name; then the secrets."""
    differ = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    return [
        *(Change(key, old.get(key), new.get(key)) for key in differ),
        *(Change(key, None, CHANGED) for key in sorted(secrets)),
    ]


async def provide_secret(
    house: House,
    tenant: TenantSlug,
    installation_id: UUID,
    credential: str,
    secret: Secret,
    actor: Actor,
    *,
    bound_to: str | None = None,
) -> Asked:
    """Give an installation one secret. It is tried live first: what the far side refuses is not stored.

    One that waits for it goes on, one that runs takes it over; what still misses something else is tried when that has
    come. bound_to: the settings (`secret_links.settings_of`) that the person saw; others are not tried with it. Raises
    NotFound, InvalidInput, Conflict, or ProbeFailed, which says what the far side had against it.
    """
    async with house.tenancy.session(tenant) as session:
        installation = await session.get(Installation, installation_id)
    if installation is None:
        raise NotFound("There is no such installation.", "See: fleetprompt package status")
    if bound_to not in (None, settings_of(installation)):
        raise Conflict(f"{installation.package} was changed at this very moment.", "Ask for another link.")
    require_state(installation, *IN_USE, *UNFINISHED)
    await _try(house, tenant, installation, credential, secret)
    return await _change(house, tenant, installation, {}, {credential: secret}, actor)


async def _try(
    house: House, tenant: TenantSlug, installation: Installation, credential: str, secret: Secret
) -> None:
    """Raises ProbeFailed. Only with everything else there it can be tried."""
    manifest = await recheck(house.tenancy.database, installation)
    installer = require_installer(house, manifest)
    check_given_secrets(installer, {credential: secret})
    await house.vault.key_of(tenant)
    async with house.tenancy.session(tenant) as session:
        secrets = await house.vault.read_all(session, installation.id)
    secrets[credential] = secret
    settings, lacking = accepted(installer, manifest, installation.config)
    if not missing_of(installer, lacking, secrets):
        await installer.probe(settings, secrets)


async def _change(
    house: House,
    tenant: TenantSlug,
    present: Installation,
    config: Mapping[str, Any],
    secrets: Mapping[str, Secret],
    actor: Actor,
    scopes: Scopes | None = None,
) -> Asked:
    """present: as it was seen a moment ago; its version was checked against the registry as that."""
    await house.vault.key_of(tenant)
    # Beside the tenant's transaction, which cannot see the registry.
    manifest = await recheck(house.tenancy.database, present)
    installer, scopes = require_installer(house, manifest), scopes or Scopes()
    scopes.check(manifest)
    async with house.tenancy.session(tenant) as session:
        installation = await session.get(Installation, present.id, with_for_update=True)
        assert installation is not None
        require_state(installation, *IN_USE, *UNFINISHED)
        require_unchanged(installation, present.generation)
        if installation.state in UNFINISHED:
            check_given_secrets(installer, secrets)
            merged = {**installation.config, **config}
            return await go_on(
                house, session, installation, manifest, merged, secrets, actor, grants=scopes.granted
            )
        settings = checked_config(installer, {**installation.config, **config})
        check_settings(manifest, settings)
        await check_agents(session, settings)
        return await _stage(house, session, installation, settings, config, secrets, actor, scopes)


async def _stage(
    house: House,
    session: TenantSession,
    installation: Installation,
    settings: Mapping[str, Any],
    config: Mapping[str, Any],
    secrets: Mapping[str, Secret],
    actor: Actor,
    scopes: Scopes,
) -> Asked:
    known = await house.vault.read_all(session, installation.id)
    installer = house.installers.find(installation.package)
    check_secrets(installer, secrets, known=known)
    require_secrets_anew(installer, installation.config, settings, secrets, actor)
    label = new_id().hex
    await house.vault.store(session, installation.id, secrets, label=label)
    changed = sorted([*config, *secrets, *scopes.granted, *scopes.revoked])
    more = {"config": settings, "label": label, "changed": changed}
    more |= {"grant": list(scopes.granted), "revoke": list(scopes.revoked)}
    asked = await ask(house, session, installation, "configure", label, actor, more=more)
    return Asked(InstallationId(installation.id), asked.id)

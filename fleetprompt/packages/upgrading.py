"""Asking for another version: what it may do more or less, what becomes of the settings, and whether a person must agree.

A version that may do no more than the one there goes ahead. One that may do more waits for consent while the one there
runs: as the approval of its directive, which binds the exact version and settings; or consent comes with the asking, from
whoever was shown the plan.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import select

from fleetprompt.kernel.errors import Conflict, InvalidInput
from fleetprompt.kernel.ids import InstallationId, TenantSlug, new_id
from fleetprompt.kernel.secret import Secret
from fleetprompt.model import Installation
from fleetprompt.model.installation import InstallationVersion
from fleetprompt.packages.asking import IN_USE, Asked, ask, require_state, require_unchanged
from fleetprompt.packages.checking import check_agents, digest, require_secrets_anew
from fleetprompt.packages.configuring import Change, changes
from fleetprompt.packages.find import find_installation
from fleetprompt.packages.grants import ScopeDiff, check_grants, compare_scopes
from fleetprompt.packages.house import House
from fleetprompt.packages.installing import accepted
from fleetprompt.packages.manifest import Manifest
from fleetprompt.packages.manifest.configuration import migrated
from fleetprompt.packages.missing import missing_of, remedy_of, spoken
from fleetprompt.packages.planning import Chosen
from fleetprompt.packages.published import find_version, split_pin
from fleetprompt.packages.targets import target_of
from fleetprompt.packages.telling import tell
from fleetprompt.runtime.signals import Actor
from fleetprompt.tenancy import TenantSession


@dataclass(frozen=True, slots=True)
class UpgradePlan:
    """What another version changes. missing: what it asks for in addition (`secret:api_key`); generation: of what is there."""

    installation_id: UUID
    package: str
    from_version: str
    to_version: str
    scopes: ScopeDiff
    changes: Sequence[Change]
    missing: Sequence[str]
    generation: int
    config: Mapping[str, Any] = field(repr=False)

    @property
    def wider(self) -> list[str]:
        """What it may do that the version there may not, as `orders:read`: a person has to agree."""
        return [permission.grant for permission in self.scopes.added if permission.required]


async def upgrade(
    house: House,
    tenant: TenantSlug,
    package: str,
    *,
    actor: Actor,
    name: str = "",
    config: Mapping[str, Any] | None = None,
    secrets: Mapping[str, Secret] | None = None,
    grants: Collection[str] = (),
    consent: bool = False,
) -> Asked:
    """Ask for another version: `slug` (the highest) or `slug@version`. config, secrets: what it needs beside what is there.

    grants: optional scopes. consent: the person who asks has seen `plan_upgrade` and agrees to what is wider. Raises
    NotFound, InvalidInput for settings or secrets that are missing or cannot be, Conflict if it is there, revoked, or
    others could not work with it.
    """
    planned, chosen = await _plan(house, tenant, package, name, config or {}, secrets or {})
    _refuse_missing(planned)
    check_grants(chosen.manifest, grants)
    async with house.tenancy.session(tenant) as session:
        installation = await find_installation(session, planned.package, name)
        require_unchanged(installation, planned.generation)
        await check_agents(session, planned.config)
        old, new = installation.config, planned.config
        require_secrets_anew(chosen.installer, old, new, secrets or {}, actor)
        label = new_id().hex
        await house.vault.store(session, installation.id, secrets or {}, label=label)
        target = {"to": chosen.manifest.version, "to_digest": chosen.digest, "grant": list(grants)}
        more = {"config": dict(planned.config), "label": label, "wider": planned.wider, **target}
        reason = consent_reason(planned) if planned.wider and not consent else None
        # Whoever consents, or brings secrets, is not answered with the directive of somebody who did not.
        own = f":{'asks' if reason else 'goes'}:{label if secrets else ''}"
        return await _ask(house, session, installation, "upgrade", actor, more, reason, own)


async def plan_upgrade(
    house: House,
    tenant: TenantSlug,
    package: str,
    *,
    name: str = "",
    config: Mapping[str, Any] | None = None,
    secrets: Mapping[str, Secret] | None = None,
) -> UpgradePlan:
    """What `upgrade` would change; changes nothing. Raises what it would, but for what is missing: that is in the plan."""
    planned, _ = await _plan(house, tenant, package, name, config or {}, secrets or {})
    return planned


async def rollback(house: House, tenant: TenantSlug, package: str, *, actor: Actor, name: str = "") -> Asked:
    """Ask for the version that the last upgrade left, with its settings as they were then.

    Secrets stay as they are now. Raises Conflict if there is none, or it is revoked.
    """
    async with house.tenancy.session(tenant) as session:
        present = await find_installation(session, package, name)
        require_state(present, *IN_USE)
        former = await former_version(session, present)
    target = await target_of(house, tenant, present, former.version)
    if former.package_digest not in (None, target.digest):
        raise Conflict(
            f"{target.manifest.label} is not the one that was left.", "Restore the registry from a back-up."
        )
    await house.vault.key_of(tenant)
    async with house.tenancy.session(tenant) as session:
        installation = await find_installation(session, package, name)
        require_unchanged(installation, present.generation)
        require_secrets_anew(target.installer, installation.config, former.config, (), actor)
        more = {
            "config": former.config,
            "label": new_id().hex,
            "to": former.version,
            "to_digest": target.digest,
            "number": former.number,
        }
        return await _ask(house, session, installation, "rollback", actor, more)


def consent_reason(planned: UpgradePlan) -> str:
    """Why a person has to agree."""
    return f"{planned.package} {planned.to_version} may do more: {', '.join(planned.wider)}."


async def _plan(
    house: House,
    tenant: TenantSlug,
    package: str,
    name: str,
    config: Mapping[str, Any],
    secrets: Mapping[str, Secret],
) -> tuple[UpgradePlan, Chosen]:
    slug, version = split_pin(package)
    await house.vault.key_of(tenant)
    async with house.tenancy.session(tenant) as session:
        installation = await find_installation(session, slug, name)
        require_state(installation, *IN_USE)
        known = await house.vault.read_all(session, installation.id)
    chosen = await target_of(house, tenant, installation, version)
    _require_other(installation, chosen)
    wanted = {**_migrated(installation, chosen.manifest), **config}
    settings, lacking = accepted(chosen.installer, chosen.manifest, wanted)
    present = (await find_version(house.tenancy.database, slug, installation.version)).verified()
    planned = UpgradePlan(
        installation.id,
        slug,
        installation.version,
        chosen.manifest.version,
        compare_scopes(present, chosen.manifest),
        changes(installation.config, settings, secrets),
        missing_of(chosen.installer, lacking, {*known, *secrets}),
        installation.generation,
        settings,
    )
    return planned, chosen


def _migrated(installation: Installation, manifest: Manifest) -> dict[str, Any]:
    """The settings there, in the words of the other version; an older version's words are lost, so they are refused."""
    if manifest.config.version < installation.config_version:
        raise Conflict(
            f"{manifest.label} has older settings than {installation.package} {installation.version}.",
            "Roll back to what was there: fleetprompt package rollback.",
        )
    return migrated(manifest.config, installation.config, installation.config_version)


def _require_other(installation: Installation, chosen: Chosen) -> None:
    if chosen.manifest.version == installation.version:
        raise Conflict(f"{chosen.manifest.label} is installed here already.", "There is nothing to upgrade.")


def _refuse_missing(planned: UpgradePlan) -> None:
    if planned.missing:
        options = remedy_of(planned.package, planned.missing).partition("...")[2]
        label = f"{planned.package} {planned.to_version}"
        raise InvalidInput(f"{label} needs {spoken(planned.missing)}.", f"Give it along:{options}")


async def former_version(session: TenantSession, installation: Installation) -> InstallationVersion:
    """What the last upgrade left."""
    query = select(InstallationVersion).where(
        InstallationVersion.installation_id == installation.id,
        InstallationVersion.left_by == "upgrade",
        InstallationVersion.returned_at.is_(None),
    )
    former = await session.scalar(query.order_by(InstallationVersion.number.desc()).limit(1))
    if former is None:
        raise Conflict(f"{installation.package} has no former version here.", "See: package audit.")
    return former


async def _ask(
    house: House,
    session: TenantSession,
    installation: Installation,
    verb: str,
    actor: Actor,
    more: Mapping[str, Any],
    reason: str | None = None,
    own: str = "",
) -> Asked:
    """One directive for each target and state of the installation. own: what tells it from others of this target."""
    key = f"{installation.id}:{more['to']}:{digest(more['config'])}:{installation.generation}{own}"
    asked = await ask(house, session, installation, verb, key, actor, more=more, approval_reason=reason)
    if asked.fresh:
        links = {"correlation_id": asked.id, "causation_id": asked.id}
        told = {"to": more["to"], "wider": more.get("wider", [])}
        await tell(session, house.registry, installation, f"package.{verb}.requested", actor, **links, **told)
    else:
        await house.vault.drop(session, installation.id, more["label"])
    return Asked(InstallationId(installation.id), asked.id)

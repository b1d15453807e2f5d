"""Asking for an installation. What lacks a setting or a secret is recorded, says what it waits for, and goes on then."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, text
from sqlalchemy.exc import IntegrityError

from fleetprompt.kernel.errors import Conflict, InvalidInput
from fleetprompt.kernel.ids import InstallationId, TenantSlug, new_id
from fleetprompt.kernel.names import checked_name
from fleetprompt.kernel.secret import Secret
from fleetprompt.model import Installation
from fleetprompt.model.states import InstallationState
from fleetprompt.packages.asking import UNFINISHED, Asked, ask
from fleetprompt.packages.checking import (
    accepted_config,
    check_agents,
    check_given_secrets,
    digest,
)
from fleetprompt.packages.find import live_installations
from fleetprompt.packages.grants import check_grants, consent, granted
from fleetprompt.packages.house import House
from fleetprompt.packages.installers import Installer
from fleetprompt.packages.manifest import Manifest
from fleetprompt.packages.missing import missing_of, remedy_of, spoken
from fleetprompt.packages.planning import Chosen, choose_for, refuse_too_many, require_installer
from fleetprompt.packages.provision import check_provision
from fleetprompt.packages.settings_schema import check_settings
from fleetprompt.packages.telling import tell
from fleetprompt.runtime.directives import Requested
from fleetprompt.runtime.moves import move
from fleetprompt.runtime.signals import Actor
from fleetprompt.tenancy import TenantSession

_ONE_BY_ONE = text("select pg_advisory_xact_lock(hashtextextended(:key, 0))")
"""Those of a package that counts its installations are recorded one after the other."""


async def install(
    house: House,
    tenant: TenantSlug,
    package: str,
    *,
    config: Mapping[str, Any],
    secrets: Mapping[str, Secret],
    actor: Actor,
    name: str = "",
    grants: Collection[str] = (),
) -> Asked:
    """Ask for an installation; the same once more finds what is there. Another try of an unfinished one goes on with it.

    package: `slug`, or `slug@version`. grants: optional scopes; what is required, installing grants. What is missing is in
    the answer, and in the installation's state `needs_config`.
    Raises NotFound for an unknown package, InvalidInput for settings or secrets that cannot be, Conflict if it is
    installed already or cannot be (revoked, missing what it needs), SignatureRefused.
    """
    chosen = await choose_for(house, tenant, package)
    check_grants(chosen.manifest, grants)
    if name:
        checked_name(name, "An installation's name")
    accepted(chosen.installer, chosen.manifest, config)
    check_given_secrets(chosen.installer, secrets)
    await house.vault.key_of(tenant)
    wish = _Wish(chosen, name, config, secrets, actor, grants)
    try:
        async with house.tenancy.session(tenant) as session:
            return await _record(house, session, wish)
    except IntegrityError as error:
        raise Conflict(
            f"{chosen.manifest.slug} was installed at this very moment.", "Look: fleetprompt package status"
        ) from error


@dataclass(frozen=True, slots=True)
class _Wish:
    """What a person asked for, checked as far as it can be without looking at what is there."""

    chosen: Chosen
    name: str
    config: Mapping[str, Any]
    secrets: Mapping[str, Secret]
    actor: Actor
    grants: Collection[str]


async def _record(house: House, session: TenantSession, wish: _Wish) -> Asked:
    """A new installation, or the one there: as it is wished, or unfinished."""
    chosen, slug = wish.chosen, wish.chosen.manifest.slug
    if chosen.manifest.limits.max_installations is not None:
        await session.execute(_ONE_BY_ONE, {"key": f"install:{session.tenant}:{slug}"})
    live = await live_installations(session, slug)
    there = next((one for one in live if one.name == wish.name), None)
    if there is None:
        refuse_too_many(chosen.manifest, len(live))
        there = _new_row(slug, wish.name)
    else:
        await session.refresh(there, with_for_update=True)  # somebody else may be giving it what it waits for
        if there.state not in UNFINISHED:
            return await _there(house, session, there, wish)
    known = {key: value for key, value in there.config.items() if _has(chosen, key)}
    _of_version(there, chosen)
    merged = {**known, **wish.config}
    manifest, secrets, actor = chosen.manifest, wish.secrets, wish.actor
    return await go_on(house, session, there, manifest, merged, secrets, actor, grants=wish.grants)


async def _there(house: House, session: TenantSession, there: Installation, wish: _Wish) -> Asked:
    settings, _ = accepted(wish.chosen.installer, wish.chosen.manifest, wish.config)
    await check_agents(session, settings)
    _require_version(there, wish.chosen)
    await _require_granted(session, there, wish.chosen.manifest, wish.grants)
    return await _same(house, session, there, settings, wish.secrets, wish.actor)


def accepted(
    installer: Installer, manifest: Manifest, config: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """The settings, and those that are missing. Raises InvalidInput for what neither connector nor manifest takes."""
    settings, missing = accepted_config(installer, config)
    if not missing:
        check_settings(manifest, settings)
    return settings, missing


async def go_on(
    house: House,
    session: TenantSession,
    installation: Installation,
    manifest: Manifest,
    config: Mapping[str, Any],
    secrets: Mapping[str, Secret],
    actor: Actor,
    *,
    grants: Collection[str] = (),
) -> Asked:
    """Record what is there of an unfinished installation; with all that it needs, its directive."""
    installer = require_installer(house, manifest)
    settings, lacking = accepted(installer, manifest, config)
    await check_agents(session, settings)
    installation.config = settings
    await check_provision(session, house.registry, installation, manifest)
    installation.generation += 1
    session.add(installation)
    await session.flush()
    await consent(session, installation.id, manifest, actor, grants)
    await house.vault.store(session, installation.id, secrets)
    there = await house.vault.read_all(session, installation.id)
    missing = missing_of(installer, lacking, there)
    if missing:
        return await _wait(house, session, installation, missing, actor)
    installation.missing = []
    asked = await _request(house, session, installation, actor)
    links = {"correlation_id": asked.id, "causation_id": asked.id}
    await tell(session, house.registry, installation, "package.install.requested", actor, **links)
    return Asked(InstallationId(installation.id), asked.id)


async def _wait(
    house: House, session: TenantSession, installation: Installation, missing: list[str], actor: Actor
) -> Asked:
    """Nothing runs yet: it says what it waits for."""
    what = f"{installation.package} waits for {spoken(missing)}."
    advice = remedy_of(installation.package, missing)
    if installation.state == InstallationState.FAILED:
        raise InvalidInput(what, advice)
    is_first = installation.state == InstallationState.REQUESTED
    values = {
        "missing": missing,
        "error": f"{what} {advice}",
        "error_code": "config",
        "updated_at": func.now(),
    }
    if is_first:
        await tell(session, house.registry, installation, "package.install.requested", actor)
        await move(session, installation, InstallationState.NEEDS_CONFIG, **values)
    else:
        for name, value in values.items():
            setattr(installation, name, value)
        await session.flush()
    await tell(session, house.registry, installation, "package.install.needs_config", actor, missing=missing)
    return Asked(InstallationId(installation.id), None, tuple(missing))


async def _require_granted(
    session: TenantSession, installation: Installation, manifest: Manifest, grants: Collection[str]
) -> None:
    there = {grant.scope for grant in await granted(session, installation.id)}
    lacking = sorted(set(grants) - there)
    if lacking:
        options = " ".join(f"--grant {scope}" for scope in lacking)
        raise Conflict(
            f"{installation.package} is {installation.state} here already, without {', '.join(lacking)}.",
            f"Grant it: fleetprompt package configure {manifest.slug} {options}",
        )


def _has(chosen: Chosen, setting: str) -> bool:
    return setting in chosen.installer.config.model_fields


def _new_row(slug: str, name: str) -> Installation:
    return Installation(
        id=new_id(),
        package=slug,
        name=name,
        state=InstallationState.REQUESTED,
        config={},
        account={},
        start_at_ms=0,
        generation=0,
        missing=[],
    )


def _of_version(installation: Installation, chosen: Chosen) -> None:
    """What did not get installed yet may become another version."""
    installation.version = chosen.manifest.version
    installation.package_digest = chosen.digest
    installation.config_version = chosen.manifest.config.version


def _require_version(installation: Installation, chosen: Chosen) -> None:
    if chosen.is_pinned and installation.version != chosen.manifest.version:
        raise Conflict(
            f"{installation.package} {installation.version} is {installation.state} here already.",
            f"Change its version: fleetprompt package upgrade {chosen.manifest.slug}@{chosen.manifest.version}; or give"
            " a second one a --name.",
        )


async def _request(
    house: House, session: TenantSession, installation: Installation, actor: Actor
) -> Requested:
    key = f"{installation.id}:{installation.version}:{digest(installation.config)}:{installation.generation}"
    return await ask(house, session, installation, "install", key, actor)


async def _same(
    house: House,
    session: TenantSession,
    installation: Installation,
    settings: Mapping[str, Any],
    secrets: Mapping[str, Secret],
    actor: Actor,
) -> Asked:
    """It is there, or on its way: fine if it is what is asked for."""
    is_same = installation.config == settings and (
        await house.vault.read_all(session, installation.id) == dict(secrets)
    )
    under_way = (InstallationState.REQUESTED, InstallationState.INSTALLING)
    if not is_same or installation.state not in (*under_way, InstallationState.INSTALLED):
        raise Conflict(
            f"{installation.package} is {installation.state} here already.",
            "Change it with `fleetprompt package configure`, or give a second one a --name.",
        )
    asked = await _request(house, session, installation, actor)
    return Asked(InstallationId(installation.id), asked.id)

"""What a person asks for: install, configure, enable, disable, uninstall. Each is a directive; a runner carries it out.

Here everything is recorded in one transaction: the installation, its sealed secrets, the directive, the signal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.exc import IntegrityError

from fleetprompt.kernel.errors import Conflict
from fleetprompt.kernel.ids import DirectiveId, InstallationId, TenantSlug, new_id
from fleetprompt.kernel.names import checked_name
from fleetprompt.kernel.secret import Secret
from fleetprompt.model import Installation
from fleetprompt.model.states import DirectiveState, InstallationState
from fleetprompt.packages.checking import check_agents, check_secrets, checked_config, digest
from fleetprompt.packages.find import find_installation, live_installations
from fleetprompt.packages.house import House
from fleetprompt.packages.planning import Chosen, choose_for, recheck
from fleetprompt.packages.settings_schema import check_settings
from fleetprompt.packages.telling import tell
from fleetprompt.runtime.directives import NewDirective, Requested, request
from fleetprompt.runtime.signals import Actor
from fleetprompt.tenancy import TenantSession

UNFINISHED = (InstallationState.FAILED, InstallationState.NEEDS_CONFIG)
REPEATED = (DirectiveState.FAILED, DirectiveState.CANCELED, DirectiveState.OUTCOME_UNKNOWN)
IN_USE = (InstallationState.INSTALLED, InstallationState.DISABLED)


@dataclass(frozen=True, slots=True)
class Asked:
    """What was recorded; the directive's end is the answer."""

    installation_id: InstallationId
    directive_id: DirectiveId


async def install(
    house: House,
    tenant: TenantSlug,
    package: str,
    *,
    config: Mapping[str, Any],
    secrets: Mapping[str, Secret],
    actor: Actor,
    name: str = "",
) -> Asked:
    """Ask for an installation; the same once more finds what is there. Another try after a failure replaces it.

    package: `slug`, or `slug@version`. Raises NotFound for an unknown one, InvalidInput for settings or secrets,
    Conflict if it is installed already or cannot be (revoked, missing what it needs), SignatureRefused.
    """
    chosen = await choose_for(house, tenant, package)
    if name:
        checked_name(name, "An installation's name")
    settings = checked_config(chosen.installer, config)
    check_settings(chosen.manifest, settings)
    check_secrets(chosen.installer, secrets)
    await house.vault.key_of(tenant)
    slug = chosen.manifest.slug
    try:
        async with house.tenancy.session(tenant) as session:
            await check_agents(session, settings)
            existing = [one for one in await live_installations(session, slug) if one.name == name]
            if existing and existing[0].state not in UNFINISHED:
                _require_version(existing[0], chosen)
                return await _same(house, session, existing[0], settings, secrets, actor)
            installation = existing[0] if existing else _new_row(slug, name)
            _of_version(installation, chosen)
            return await _ask_to_install(house, session, installation, settings, secrets, actor)
    except IntegrityError as error:
        raise Conflict(
            f"{slug} was installed at this very moment.", "Look: fleetprompt package status"
        ) from error


def _new_row(slug: str, name: str) -> Installation:
    return Installation(
        id=new_id(),
        package=slug,
        name=name,
        state=InstallationState.REQUESTED,
        account={},
        start_at_ms=0,
        generation=0,
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
            "Give a second one a --name, or uninstall it first.",
        )


async def _ask_to_install(
    house: House,
    session: TenantSession,
    installation: Installation,
    settings: Mapping[str, Any],
    secrets: Mapping[str, Secret],
    actor: Actor,
) -> Asked:
    installation.config = dict(settings)
    installation.generation += 1
    session.add(installation)
    await session.flush()
    await house.vault.store(session, installation.id, secrets)
    asked = await _request_install(house, session, installation, actor)
    links = {"correlation_id": asked.id, "causation_id": asked.id}
    await tell(session, house.registry, installation, "package.install.requested", actor, **links)
    return Asked(InstallationId(installation.id), asked.id)


async def _request_install(
    house: House, session: TenantSession, installation: Installation, actor: Actor
) -> Requested:
    key = f"{installation.id}:{installation.version}:{digest(installation.config)}:{installation.generation}"
    return await _request(house, session, installation, "install", key, actor)


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
    asked = await _request_install(house, session, installation, actor)
    return Asked(InstallationId(installation.id), asked.id)


async def configure(
    house: House,
    tenant: TenantSlug,
    package: str,
    *,
    config: Mapping[str, Any],
    secrets: Mapping[str, Secret],
    actor: Actor,
    name: str = "",
) -> Asked:
    """Change some settings and secrets. They are tried first; if they do not work, what runs stays as it is."""
    installer = house.installers.find(package)
    await house.vault.key_of(tenant)
    async with house.tenancy.session(tenant) as session:
        present = await find_installation(session, package, name)
    manifest = await recheck(
        house.tenancy.database, present
    )  # beside the tenant's transaction, which cannot see it
    async with house.tenancy.session(tenant) as session:
        installation = await find_installation(session, package, name)
        _require(installation, *IN_USE, *UNFINISHED)
        settings = checked_config(installer, {**installation.config, **config})
        check_settings(manifest, settings)
        await check_agents(session, settings)
        known = await house.vault.read_all(session, installation.id)
        check_secrets(installer, secrets, known=known)
        if installation.state in UNFINISHED:
            return await _ask_to_install(house, session, installation, settings, secrets, actor)
        label = new_id().hex
        await house.vault.store(session, installation.id, secrets, label=label)
        more = {"config": settings, "label": label, "changed": sorted([*config, *secrets])}
        asked = await _request(house, session, installation, "configure", label, actor, **more)
        return Asked(InstallationId(installation.id), asked.id)


async def enable(house: House, tenant: TenantSlug, package: str, *, actor: Actor, name: str = "") -> Asked:
    """Listen and post again; what was written meanwhile is history."""
    return await _change(house, tenant, package, name, "enable", actor, InstallationState.DISABLED)


async def disable(house: House, tenant: TenantSlug, package: str, *, actor: Actor, name: str = "") -> Asked:
    """Neither listen nor post, until enabled again."""
    return await _change(house, tenant, package, name, "disable", actor, InstallationState.INSTALLED)


async def uninstall(house: House, tenant: TenantSlug, package: str, *, actor: Actor, name: str = "") -> Asked:
    """Forget secrets and position and free the account; what happened stays on record."""
    return await _change(house, tenant, package, name, "uninstall", actor, *IN_USE, *UNFINISHED)


async def _change(
    house: House,
    tenant: TenantSlug,
    package: str,
    name: str,
    verb: str,
    actor: Actor,
    *states: InstallationState,
) -> Asked:
    async with house.tenancy.session(tenant) as session:
        installation = await find_installation(session, package, name)
        _require(installation, *states)
        key = f"{installation.id}:{installation.generation}"
        asked = await _request(house, session, installation, verb, key, actor)
        return Asked(InstallationId(installation.id), asked.id)


def _require(installation: Installation, *states: InstallationState) -> None:
    if installation.state not in states:
        listed = " or ".join(states)
        raise Conflict(
            f"{installation.package} is {installation.state}.", f"This works for one that is {listed}."
        )


async def _request(
    house: House,
    session: TenantSession,
    installation: Installation,
    verb: str,
    key: str,
    actor: Actor,
    **more: Any,
) -> Requested:
    """The directive; a new one for another round after one that did not succeed."""
    first = _directive(installation, verb, key, actor, more)
    asked, again = await request(session, house.registry, first), 0
    while not asked.fresh and asked.state in REPEATED:
        again += 1
        asked = await request(
            session, house.registry, replace(first, idempotency_key=f"{first.idempotency_key}:{again}")
        )
    return asked


def _directive(
    installation: Installation, verb: str, key: str, actor: Actor, more: Mapping[str, Any]
) -> NewDirective:
    arguments = {
        "installation_id": str(installation.id),
        "package": installation.package,
        "version": installation.version,
        "generation": installation.generation,
        **more,
    }
    return NewDirective(
        f"package.{verb}",
        f"package.{verb}:{key}",
        arguments,
        f"{verb.capitalize()} {installation.package}.",
        actor,
        installation_id=installation.id,
        lane=f"installation:{installation.id}",
    )

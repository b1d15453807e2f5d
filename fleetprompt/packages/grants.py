"""Scopes: what an administrator consents to when a package is installed, upgraded or configured.

Installing grants what is required; what is optional is granted by name, and can be taken back at any time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import delete, exists, select, update
from sqlalchemy.dialects.postgresql import insert

from fleetprompt.kernel.errors import FleetPromptError, InvalidInput
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import Grant, Installation
from fleetprompt.model.installation import InstallationVersion
from fleetprompt.model.states import InstallationState
from fleetprompt.packages.installers import nearest
from fleetprompt.packages.manifest import Manifest
from fleetprompt.packages.manifest.asks import Permission
from fleetprompt.packages.published import find_version
from fleetprompt.runtime.signals import Actor
from fleetprompt.tenancy import Tenancy, TenantSession

MIGRATION: Final = Actor("system", "migration")


@dataclass(frozen=True, slots=True)
class ScopeDiff:
    """What another version asks for beside the one that is there. wider: whether a person has to consent."""

    added: tuple[Permission, ...]
    removed: tuple[Permission, ...]

    @property
    def wider(self) -> bool:
        """What is optional waits for a grant anyway."""
        return any(permission.required for permission in self.added)


def compare_scopes(before: Manifest, after: Manifest) -> ScopeDiff:
    """A scope that was optional and is required now is a new one; the other way round, none."""
    old, new = by_scope(before), by_scope(after)
    added = [one for name, one in new.items() if name not in old or (one.required and not old[name].required)]
    return ScopeDiff(tuple(added), tuple(one for name, one in old.items() if name not in new))


def by_scope(manifest: Manifest) -> dict[str, Permission]:
    """Each permission by the name of its grant, as `orders:read`."""
    return {permission.grant: permission for permission in manifest.permissions}


def check_grants(manifest: Manifest, chosen: Iterable[str]) -> None:
    """Raises InvalidInput for a scope that the package does not ask for."""
    known = by_scope(manifest)
    for scope in chosen:
        if scope not in known:
            raise InvalidInput(f"{manifest.label} does not ask for {scope[:80]!r}.", nearest(scope, known))


def check_revocable(manifest: Manifest, scopes: Iterable[str]) -> None:
    """Raises InvalidInput for one that the package cannot do without, or does not ask for."""
    scopes = list(scopes)
    check_grants(manifest, scopes)
    for scope in scopes:
        if by_scope(manifest)[scope].required:
            raise InvalidInput(
                f"{manifest.label} cannot do without {scope}.",
                f"Disable it instead: fleetprompt package disable {manifest.slug}",
            )


async def consent(
    session: TenantSession,
    installation_id: UUID,
    manifest: Manifest,
    actor: Actor,
    chosen: Collection[str] = (),
) -> None:
    """Grant what the version requires and the chosen optional scopes; what it no longer asks for is granted no more.

    Optional scopes that were granted before stay so. Raises InvalidInput for one that it does not ask for.
    """
    check_grants(manifest, chosen)
    known = by_scope(manifest)
    gone = delete(Grant).where(Grant.installation_id == installation_id, Grant.scope.not_in(known))
    await session.execute(gone)
    optional = [scope for scope, permission in known.items() if not permission.required]
    stays = update(Grant).where(Grant.installation_id == installation_id, Grant.scope.in_(optional))
    await session.execute(stays.values(required=False))
    for scope, permission in known.items():
        if permission.required or scope in chosen:
            await _grant(session, installation_id, scope, permission.required, actor)


async def revoke(
    session: TenantSession, installation_id: UUID, manifest: Manifest, scopes: Collection[str]
) -> None:
    """Take optional scopes back. Raises InvalidInput for one that the package cannot do without."""
    check_revocable(manifest, scopes)
    gone = delete(Grant).where(Grant.installation_id == installation_id, Grant.scope.in_(scopes))
    await session.execute(gone)


async def return_to(session: TenantSession, installation_id: UUID, number: int) -> None:
    """Before consent to a former version: what later ones were granted since they required it, it was never granted."""
    left_at = select(InstallationVersion.left_at).where(
        InstallationVersion.installation_id == installation_id, InstallationVersion.number == number
    )
    since = delete(Grant).where(
        Grant.installation_id == installation_id,
        Grant.required,
        Grant.granted_at >= left_at.scalar_subquery(),
    )
    await session.execute(since.execution_options(synchronize_session=False))


async def granted(session: TenantSession, installation_id: UUID) -> Sequence[Grant]:
    """All of an installation, by scope."""
    query = select(Grant).where(Grant.installation_id == installation_id).order_by(Grant.scope)
    return list(await session.scalars(query.execution_options(populate_existing=True)))


async def complete(tenancy: Tenancy, tenant: TenantSlug) -> None:
    """What was installed before there were grants was consented to with all that its version asks for.

    It lacks even what is required. Whoever asks for nothing that is required may have been granted nothing since.
    """
    async with tenancy.session(tenant) as session:
        without = ~exists().where(Grant.installation_id == Installation.id)
        alive = Installation.state != InstallationState.UNINSTALLED
        found = list(await session.scalars(select(Installation).where(without, alive)))
    for installation in found:
        try:
            version = await find_version(tenancy.database, installation.package, installation.version)
            manifest = version.verified()
        except FleetPromptError:  # the registry does not have it any more: there is nothing to grant
            continue
        if not any(permission.required for permission in manifest.permissions):
            continue
        async with tenancy.session(tenant) as session:
            await consent(session, installation.id, manifest, MIGRATION, by_scope(manifest))


async def forget(session: TenantSession, installation_id: UUID) -> None:
    """An installation that goes may do nothing."""
    await session.execute(delete(Grant).where(Grant.installation_id == installation_id))


async def _grant(
    session: TenantSession, installation_id: UUID, scope: str, required: bool, actor: Actor
) -> None:
    """Who granted it first stays on record."""
    row = {"installation_id": installation_id, "scope": scope, "required": required}
    new = insert(Grant).values(row | {"granted_by": f"{actor.kind}:{actor.id}"})
    keys = ["installation_id", "scope"]
    await session.execute(new.on_conflict_do_update(index_elements=keys, set_={"required": required}))

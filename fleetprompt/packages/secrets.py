"""The vault: an installation's secrets as rows, sealed with the tenant's key, which the master key wraps.

A new secret is staged under the generation that will use it, and takes the place of the old one when that generation
is in force: so a configuration that fails leaves the running one untouched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import delete, select, update

from fleetprompt.credentials import MasterKey, Secret, TenantKey
from fleetprompt.database.engine import Database
from fleetprompt.kernel.errors import NotFound
from fleetprompt.kernel.ids import TenantSlug, new_id
from fleetprompt.model import Credential, Organization
from fleetprompt.tenancy import TenantSession

STAGED = "@"  # in no secret's name


class Vault:
    """Stores and reads secrets. Tenants' keys are kept in memory once they were unwrapped."""

    def __init__(self, database: Database, master_key: MasterKey) -> None:
        self._database = database
        self._master_key = master_key
        self._keys: dict[TenantSlug, TenantKey] = {}
        self._unwrapping = asyncio.Lock()

    async def key_of(self, tenant: TenantSlug) -> TenantKey:
        """The tenant's key, made at first use. Call it before a tenant's transaction, which cannot read the registry.

        Raises NotFound, WrongMasterKey, SealBroken.
        """
        async with self._unwrapping:
            if tenant not in self._keys:
                self._keys[tenant] = self._master_key.unwrap(tenant, await self._wrapped(tenant))
            return self._keys[tenant]

    async def _wrapped(self, tenant: TenantSlug) -> bytes:
        async with self._database.session() as session:
            query = select(Organization).where(Organization.slug == tenant).with_for_update()
            organization = await session.scalar(query)
            if organization is None:
                raise NotFound(f"There is no organization {tenant!r}.", "See: fleetprompt org list")
            if organization.wrapped_key is None:
                organization.wrapped_key = self._master_key.wrap(TenantKey.new(tenant))
            return organization.wrapped_key

    async def stage(
        self, session: TenantSession, installation_id: UUID, generation: int, secrets: Mapping[str, Secret]
    ) -> None:
        """Seal secrets for a generation to come, in the caller's transaction."""
        key = await self.key_of(session.tenant)
        for name, secret in secrets.items():
            secret_id = new_id()
            session.add(
                Credential(
                    id=secret_id,
                    installation_id=installation_id,
                    name=f"{name}{STAGED}{generation}",
                    sealed=key.seal(secret_id, secret),
                )
            )
        await session.flush()

    async def read_all(
        self, session: TenantSession, installation_id: UUID, *, generation: int | None = None
    ) -> dict[str, Secret]:
        """The secrets in force by name; with a generation those staged for it take their places."""
        key = await self.key_of(session.tenant)
        found: dict[str, Secret] = {}
        query = select(Credential).where(Credential.installation_id == installation_id)
        for row in sorted(await session.scalars(query), key=lambda row: STAGED in row.name):
            name, _, staged_for = row.name.partition(STAGED)
            if not staged_for or staged_for == str(generation):
                found[name] = key.open(row.id, row.sealed)
        return found

    async def adopt(self, session: TenantSession, installation_id: UUID, generation: int) -> None:
        """Put the staged secrets of a generation in force; older ones and other staged ones are removed."""
        rows = list(
            await session.scalars(select(Credential).where(Credential.installation_id == installation_id))
        )
        adopted = {
            row.name.partition(STAGED)[0] for row in rows if row.name.endswith(f"{STAGED}{generation}")
        }
        for row in rows:
            name, _, staged_for = row.name.partition(STAGED)
            if (not staged_for and name in adopted) or (staged_for and staged_for != str(generation)):
                await session.execute(delete(Credential).where(Credential.id == row.id))
        for row in rows:
            name, _, staged_for = row.name.partition(STAGED)
            if staged_for == str(generation):
                await session.execute(update(Credential).where(Credential.id == row.id).values(name=name))

    async def forget(self, session: TenantSession, installation_id: UUID) -> None:
        """Remove all secrets of an installation."""
        await session.execute(delete(Credential).where(Credential.installation_id == installation_id))

"""The vault: an installation's secrets as rows, sealed with the tenant's key, which the master key wraps.

Secrets of a configuration that is still to be tried are staged under a label, and take the place of those in force
when it works: so a configuration that fails leaves the running one untouched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from uuid import UUID

from sqlalchemy import delete, select

from fleetprompt.credentials import Keyring, MasterKey, SealBroken, Secret, TenantKey
from fleetprompt.database.engine import Database
from fleetprompt.kernel.errors import NotFound
from fleetprompt.kernel.ids import TenantSlug, new_id
from fleetprompt.model import Credential, Organization
from fleetprompt.tenancy import TenantSession
from fleetprompt.tenancy.registry import in_registry

STAGED = "@"  # name@label; in no secret's name


class Vault:
    """Stores and reads secrets. Tenants' keys are kept in memory once they were unwrapped."""

    def __init__(self, database: Database, master_key: MasterKey) -> None:
        self._database = database
        self._keyring = Keyring(master_key)
        self._keys: dict[TenantSlug, TenantKey] = {}
        self._unwrapping = asyncio.Lock()

    async def key_of(self, tenant: TenantSlug) -> TenantKey:
        """The tenant's key, made at first use. Call it before a tenant's transaction, which cannot read the registry.

        Raises NotFound, WrongMasterKey, SealBroken.
        """
        if (
            tenant in self._keys
        ):  # who asks within a transaction holds a connection, and may wait for nobody's
            return self._keys[tenant]
        async with self._unwrapping:
            if tenant not in self._keys:
                self._keys[tenant] = await self._of_registry(tenant)
            return self._keys[tenant]

    async def _of_registry(self, tenant: TenantSlug) -> TenantKey:
        async with self._database.session() as session:
            query = select(Organization).where(Organization.slug == tenant).with_for_update()
            organization = await session.scalar(query)
            if organization is None:
                raise NotFound(f"There is no organization {tenant!r}.", "See: fleetprompt org list")
            if organization.wrapped_key is None:
                key = TenantKey.new(tenant)
                organization.wrapped_key = await self._keyring.wrap_new(session, key)
                return key
            return await self._keyring.unwrap(session, tenant, organization.wrapped_key)

    async def _current_key(self, session: TenantSession) -> TenantKey:
        """As it is now: while we ran, the organization may have been removed, and one of its name made or imported."""
        async with in_registry(session):
            query = select(Organization.wrapped_key).where(Organization.slug == session.tenant)
            wrapped = await session.scalar(query)
            self._keys.pop(session.tenant, None)
            if wrapped is not None:
                self._keys[session.tenant] = await self._keyring.unwrap(session, session.tenant, wrapped)
        return await self.key_of(session.tenant)

    async def store(
        self, session: TenantSession, installation_id: UUID, secrets: Mapping[str, Secret], *, label: str = ""
    ) -> None:
        """Seal secrets in the caller's transaction, in place of those of the same name. label: staged, not in force."""
        key = await self._current_key(session)
        names = {name: f"{name}{STAGED}{label}" if label else name for name in secrets}
        await self._delete(session, installation_id, list(names.values()))
        for name, secret in secrets.items():
            secret_id = new_id()
            sealed = key.seal(secret_id, secret)
            row = Credential(id=secret_id, installation_id=installation_id, name=names[name], sealed=sealed)
            session.add(row)
        await session.flush()

    async def read_all(
        self, session: TenantSession, installation_id: UUID, *, label: str = ""
    ) -> dict[str, Secret]:
        """The secrets in force by name; with a label those staged under it take their places."""
        key = await self.key_of(session.tenant)
        query = select(Credential).where(Credential.installation_id == installation_id)
        rows = {row.name: row for row in await session.scalars(query)}
        try:
            return _opened(key, rows, label)
        except SealBroken:
            return _opened(await self._current_key(session), rows, label)

    async def adopt(self, session: TenantSession, installation_id: UUID, label: str) -> None:
        """Put what is staged under a label in force."""
        query = select(Credential).where(Credential.installation_id == installation_id)
        staged = [row for row in await session.scalars(query) if row.name.endswith(f"{STAGED}{label}")]
        await self._delete(session, installation_id, [row.name.partition(STAGED)[0] for row in staged])
        for row in staged:
            row.name = row.name.partition(STAGED)[0]
        await session.flush()

    async def drop(self, session: TenantSession, installation_id: UUID, label: str) -> None:
        """Forget what is staged under a label."""
        query = select(Credential.name).where(Credential.installation_id == installation_id)
        names = [name for name in await session.scalars(query) if name.endswith(f"{STAGED}{label}")]
        await self._delete(session, installation_id, names)

    async def take_away(self, session: TenantSession, installation_id: UUID, name: str) -> None:
        """Remove one secret, in force and staged."""
        query = select(Credential.name).where(Credential.installation_id == installation_id)
        names = [one for one in await session.scalars(query) if one.partition(STAGED)[0] == name]
        await self._delete(session, installation_id, names)

    async def forget(self, session: TenantSession, installation_id: UUID) -> None:
        """Remove all secrets of an installation."""
        await session.execute(delete(Credential).where(Credential.installation_id == installation_id))

    async def _delete(self, session: TenantSession, installation_id: UUID, names: Collection[str]) -> None:
        if names:
            gone = delete(Credential).where(Credential.installation_id == installation_id)
            await session.execute(gone.where(Credential.name.in_(names)))


def _opened(key: TenantKey, rows: Mapping[str, Credential], label: str) -> dict[str, Secret]:
    """Those in force by name; those staged under the label take their places. Raises SealBroken."""
    found = {name: key.open(row.id, row.sealed) for name, row in rows.items() if STAGED not in name}
    for staged, row in rows.items():
        name, _, its_label = staged.partition(STAGED)
        if label and its_label == label:
            found[name] = key.open(row.id, row.sealed)
    return found

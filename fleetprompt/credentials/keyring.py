"""The master keys that a process can open tenants' keys with: the one that it was started with, and its successors.

When the master key is replaced, the registry holds the new one, sealed by the former one: so processes that run go on,
and are started anew with the new key whenever it suits, until the rotation is finished.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from fleetprompt.credentials.master_key import FINGERPRINT_BYTES, MasterKey
from fleetprompt.credentials.sealing import TenantKey, WrongMasterKey
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import ReplacedMasterKey

# Whoever wraps a new key holds it shared, whoever announces a successor holds it alone: so no key is wrapped by a
# master key behind the back of the rotation that replaces it.
LOCK: Final = 7_420_180_008
HOLD_SHARED: Final = text(f"select pg_advisory_xact_lock_shared({LOCK})")
HOLD_ALONE: Final = text(f"select pg_advisory_xact_lock({LOCK})")


class Keyring:
    """Begins with one key, and learns its successors when it needs them. Sessions: the service's own, on the registry."""

    def __init__(self, master_key: MasterKey) -> None:
        self._first = self._newest = master_key
        self._known = {master_key.fingerprint: master_key}
        self._retired = False

    async def unwrap(self, session: AsyncSession, tenant: TenantSlug, wrapped: bytes) -> TenantKey:
        """Raises WrongMasterKey or SealBroken."""
        if wrapped[:FINGERPRINT_BYTES].hex() not in self._known:
            await self.learn(session)
        return self.opened(tenant, wrapped)

    def opened(self, tenant: TenantSlug, wrapped: bytes) -> TenantKey:
        """With what is known. Raises WrongMasterKey or SealBroken."""
        key = self._known.get(wrapped[:FINGERPRINT_BYTES].hex())
        if key is None and self._retired:
            raise self._is_retired()
        return (key or self._first).unwrap(tenant, wrapped)

    async def wrap_new(self, session: AsyncSession, key: TenantKey) -> bytes:
        """By the newest; within the transaction that stores it. Raises WrongMasterKey if ours is none any more."""
        await session.execute(HOLD_SHARED)
        await self.learn(session)
        if self._retired:
            raise self._is_retired()
        return self._newest.wrap(key)

    async def learn(self, session: AsyncSession) -> None:
        """Follow the successors, one after the other."""
        while (row := await session.get(ReplacedMasterKey, self._newest.fingerprint)) is not None:
            if row.sealed is None:
                self._retired = True
                return
            self._newest = self._newest.open_successor(row.successor, row.sealed)
            self._known[self._newest.fingerprint] = self._newest

    def _is_retired(self) -> WrongMasterKey:
        return WrongMasterKey(
            f"The master key {self._first.fingerprint} (from {self._first.origin}) was replaced.",
            "Start this process with the new one.",
        )

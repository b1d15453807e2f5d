"""The open adapters of a worker: one for each installation, built when it is first needed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from adapters.contract import Adapter
from adapters.errors import Misconfigured
from fleetprompt.connectors.binding import Account, Binding
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import Installation
from fleetprompt.packages.secrets import Vault
from fleetprompt.tenancy import Tenancy

OTHER_ACCOUNT = "the credential belongs to another account than the installation's"
OTHER_ACCOUNT_ADVICE = "Give the installation its own account's credential: fleetprompt package configure."


@dataclass(slots=True)
class _Place:
    """Where an installation's adapter stands."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    generation: int = -1
    adapter: Adapter | None = None


class AdapterPool:
    """Adapters that send. A change of settings (the generation) replaces one, a refused credential drops it."""

    def __init__(self, tenancy: Tenancy, vault: Vault, bindings: Mapping[str, Binding]) -> None:
        self._tenancy = tenancy
        self._vault = vault
        self._bindings = bindings
        self._places: dict[UUID, _Place] = {}

    async def get(self, tenant: TenantSlug, installation: Installation) -> Adapter:
        """An open adapter with these settings. Raises the tree of `adapters.errors`."""
        place = self._places.setdefault(installation.id, _Place())
        async with place.lock:
            if place.adapter is None or place.generation != installation.generation:
                await _empty(place)
                place.adapter = await self._open(tenant, installation)
                place.generation = installation.generation
            return place.adapter

    async def discard(self, installation_id: UUID) -> None:
        """Close it; the next `get` builds a new one."""
        place = self._places.get(installation_id)
        if place is not None:
            async with place.lock:
                await _empty(place)

    async def close(self) -> None:
        """Close all."""
        places, self._places = list(self._places.values()), {}
        await asyncio.gather(*(_empty(place) for place in places))

    async def _open(self, tenant: TenantSlug, installation: Installation) -> Adapter:
        binding = self._bindings[installation.package]
        async with self._tenancy.session(tenant) as session:
            secrets = await self._vault.read_all(session, installation.id)
        account = Account(installation.config, secrets, installation.start_at_ms)
        adapter = binding.build(account, None)
        try:
            connected = await adapter.open()
            if connected.account_key != installation.account.get("key"):
                raise Misconfigured(OTHER_ACCOUNT, advice=OTHER_ACCOUNT_ADVICE)
        except BaseException:
            await adapter.close()
            raise
        return adapter


async def _empty(place: _Place) -> None:
    adapter, place.adapter = place.adapter, None
    if adapter is not None:
        await adapter.close()

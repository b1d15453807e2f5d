"""One open adapter an installation, for deliveries: opened at the first need, closed when nobody needs it any more."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

from adapters.contract import Adapter
from adapters.errors import Misconfigured, Unreachable
from fleetprompt.connectors.binding import Account, Binding
from fleetprompt.kernel import clock
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import Installation
from fleetprompt.packages.secrets import Vault
from fleetprompt.tenancy import Tenancy

OTHER_ACCOUNT = "the credential belongs to another account than the installation's"
OTHER_ACCOUNT_ADVICE = "Give the installation its own account's credential: fleetprompt package configure."
IDLE_S = 300.0


@dataclass(slots=True)
class _Lent:
    """An open adapter and how many call through it. Retired, it is closed when the last of them is done."""

    adapter: Adapter
    generation: int
    callers: int = 0
    used_at_s: float = 0.0
    is_retired: bool = False


@dataclass(slots=True)
class _Place:
    """Where an installation's adapter stands."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    lent: _Lent | None = None


class AdapterPool:
    """Adapters that send. Newer settings (the generation) replace one, a refused credential drops it.

    Nobody tells this process of an uninstallation, so what was not used for `idle_s` is closed.
    """

    def __init__(
        self, tenancy: Tenancy, vault: Vault, bindings: Mapping[str, Binding], idle_s: float = IDLE_S
    ) -> None:
        self._tenancy = tenancy
        self._vault = vault
        self._bindings = bindings
        self._idle_s = idle_s
        self._places: dict[UUID, _Place] = {}
        self._sweeper: asyncio.Task[None] | None = None
        self._is_closed = False

    @asynccontextmanager
    async def lend(self, tenant: TenantSlug, installation: Installation) -> AsyncIterator[Adapter]:
        """An open adapter with these settings or newer ones; open until the block ends, whatever happens meanwhile.

        Raises the tree of `adapters.errors`.
        """
        lent = await self._borrow(tenant, installation)
        try:
            yield lent.adapter
        finally:
            lent.callers -= 1
            lent.used_at_s = clock.monotonic_s()
            await _close_if_over(lent)

    async def discard(self, installation_id: UUID) -> None:
        """Lend it to nobody any more; the next call builds a new one."""
        place = self._places.get(installation_id)
        if place is not None:
            async with place.lock:
                await _retire(place)

    async def close(self) -> None:
        """Close all, also those in use."""
        self._is_closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeper
        adapters = [place.lent.adapter for place in self._places.values() if place.lent is not None]
        self._places.clear()
        await asyncio.gather(*(adapter.close() for adapter in adapters))

    async def _borrow(self, tenant: TenantSlug, installation: Installation) -> _Lent:
        if self._is_closed:
            raise Unreachable("this process is stopping", advice="Another one carries on.")
        place = self._places.setdefault(installation.id, _Place())
        async with place.lock:
            if place.lent is None or place.lent.generation < installation.generation:
                await _retire(place)
                place.lent = _Lent(await self._open(tenant, installation), installation.generation)
                self._sweep_from_now_on()
            place.lent.callers += 1
            return place.lent

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

    def _sweep_from_now_on(self) -> None:
        if self._sweeper is None or self._sweeper.done():
            self._sweeper = asyncio.create_task(self._sweep(), name="adapter pool")

    async def _sweep(self) -> None:
        """Close what is idle, until nothing is open."""
        while any(place.lent is not None for place in self._places.values()):
            await asyncio.sleep(self._idle_s / 4)
            before_s = clock.monotonic_s() - self._idle_s
            for place in list(self._places.values()):
                lent = place.lent
                if lent is not None and not lent.callers and lent.used_at_s < before_s:
                    await _retire(place)


async def _retire(place: _Place) -> None:
    lent, place.lent = place.lent, None
    if lent is not None:
        lent.is_retired = True
        await _close_if_over(lent)


async def _close_if_over(lent: _Lent) -> None:
    if lent.is_retired and not lent.callers:
        await lent.adapter.close()

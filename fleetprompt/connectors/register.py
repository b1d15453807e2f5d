"""The connectors' entries in the registry, and what of them has to be closed at the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from adapters.errors import Misconfigured
from adapters.order_desk import OrderDeskClient
from fleetprompt.connectors import catalogue, revoking
from fleetprompt.connectors.accounts import register_accounts
from fleetprompt.connectors.binding import Binding
from fleetprompt.connectors.bucket import TokenBuckets
from fleetprompt.connectors.chat import register_chat
from fleetprompt.connectors.installing import installer_of
from fleetprompt.connectors.mattermost.binding import MATTERMOST
from fleetprompt.connectors.order_desk.tools import register_orders
from fleetprompt.connectors.pool import AdapterPool
from fleetprompt.connectors.proton_mail.binding import PROTON_MAIL
from fleetprompt.connectors.proton_mail.register import register_mail
from fleetprompt.connectors.requests import register_requests
from fleetprompt.kernel.errors import InvalidInput
from fleetprompt.packages.house import House

CHAT: Final = ((MATTERMOST, "1.0.0", "Agents answer in the channels of a Mattermost server."),)
MAIL: Final = "Customers' mail is answered in its thread, through Proton Mail Bridge."


@dataclass(frozen=True, slots=True)
class Connectors:
    """What a process holds of them. bindings: package -> chat connector."""

    bindings: Mapping[str, Binding]
    pool: AdapterPool
    order_desk: OrderDeskClient | None = None

    async def close(self) -> None:
        """Close the adapters that were opened."""
        await self.pool.close()
        if self.order_desk is not None:
            await self.order_desk.close()


def register_connectors(house: House) -> Connectors:
    """Called once by a composition root, after the runtime registered. Close the result."""
    bindings = {binding.package: binding for binding, _, _ in CHAT} | {PROTON_MAIL.package: PROTON_MAIL}
    pool, buckets = AdapterPool(house.tenancy, house.vault, bindings), TokenBuckets()
    catalogue.register(house.registry)
    revoking.register(house.registry)
    for binding, version, about in CHAT:
        register_chat(house, pool, buckets, binding)
        house.installers.add(installer_of(binding, version, about))
    register_requests(house, pool)
    register_accounts(house, pool, bindings)
    register_mail(house.registry, house.tenancy, pool)
    house.installers.add(installer_of(PROTON_MAIL, "1.0.0", MAIL))
    return Connectors(bindings, pool, _order_desk(house))


def _order_desk(house: House) -> OrderDeskClient | None:
    """The sample order system's tools, if there is one. Raises InvalidInput for an address that is none."""
    url = house.settings.order_desk_url
    if url is None:
        return None
    try:
        client = OrderDeskClient(url)
    except Misconfigured as error:
        raise InvalidInput(f"{error.detail[:1].upper()}{error.detail[1:]}.", error.advice) from error
    register_orders(house.registry, client)
    return client

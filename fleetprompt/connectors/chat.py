"""Register a chat connector: its directive, its channel, its installer."""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy import select

from adapters.contract import Place, Types
from fleetprompt.connectors.binding import Binding
from fleetprompt.connectors.bucket import TokenBuckets
from fleetprompt.connectors.buttons import OfferEffector, OfferingArguments
from fleetprompt.connectors.edits import UpdateArguments, UpdateEffector
from fleetprompt.connectors.pool import AdapterPool
from fleetprompt.connectors.private import PrivateArguments, PrivateEffector
from fleetprompt.connectors.sent import note_sent
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import Conversation, Installation
from fleetprompt.model.states import IN_FORCE
from fleetprompt.packages.house import House
from fleetprompt.runtime.directives import DirectiveType
from fleetprompt.runtime.registry import Channel
from fleetprompt.tenancy import Tenancy

TYPING_TIMEOUT_S = 3.0


def register_chat(house: House, pool: AdapterPool, buckets: TokenBuckets, binding: Binding) -> None:
    """Make its directive executable and its conversations answerable."""
    registry, tenancy = house.registry, house.tenancy
    effector = OfferEffector(house, pool, buckets, binding)
    registry.add_directive(
        DirectiveType(
            binding.directive,
            f"Post a message through {binding.package}.",
            OfferingArguments,
            effector,
            delivered=note_sent,
        )
    )
    if binding.update:
        update = UpdateEffector(registry, tenancy, pool, buckets, binding)
        about = f"Edit what was posted through {binding.package}."
        registry.add_directive(DirectiveType(binding.update, about, UpdateArguments, update))
    if binding.private:
        private = PrivateEffector(registry, tenancy, pool, buckets, binding)
        about = f"Tell one account of {binding.package} something alone."
        registry.add_directive(DirectiveType(binding.private, about, PrivateArguments, private))
    registry.add_channel(_channel(tenancy, pool, binding))


def _channel(tenancy: Tenancy, pool: AdapterPool, binding: Binding) -> Channel:
    return Channel(
        binding.package,
        binding.directive,
        post_arguments,
        _typing(tenancy, pool),
        update=binding.update,
        private=binding.private,
        takes_offers=bool(binding.pressed_at),
        server_key=binding.server_key,
    )


def post_arguments(conversation: Conversation, text: str) -> dict[str, Any]:
    """An answer in a conversation as the directive's arguments."""
    return {
        "channel_id": conversation.channel_id,
        "channel_kind": conversation.channel_kind,
        "thread_id": conversation.thread_id,
        "text": text,
    }


def _place_of(conversation: Conversation) -> Place:
    return Place(conversation.channel_id, conversation.channel_kind, conversation.thread_id)


def _typing(tenancy: Tenancy, pool: AdapterPool) -> Any:
    async def typing(tenant: TenantSlug, conversation: Conversation) -> None:
        """Show that an answer is being written. Raises what is wrong; the caller does not mind."""
        async with tenancy.session(tenant) as session:
            query = select(Installation).where(Installation.id == conversation.installation_id)
            installation = await session.scalar(query)
        if installation is None or installation.state not in IN_FORCE:
            return
        async with asyncio.timeout(TYPING_TIMEOUT_S):
            async with pool.lend(tenant, installation) as adapter:
                if isinstance(adapter, Types):
                    await adapter.typing(_place_of(conversation))

    return typing

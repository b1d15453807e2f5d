"""The facts that connectors tell; those of chat are the runtime's, because it reacts to them."""

from __future__ import annotations

from typing import Final

from adapters.contract import EventKind
from fleetprompt.runtime.registry import Registry

INTEGRATION: Final = {
    "integration.connected": "An installation's connection stands.",
    "integration.disconnected": "An installation's connection was lost; it comes back by itself.",
    "integration.error": "An installation needs a person.",
    "integration.event.unreadable": "What came in could not be stored and was set aside; its raw bytes are kept.",
}
INGRESS: Final = {
    "chat.command.received": "Somebody wrote a slash command to us.",
    "chat.action.received": "Somebody pressed a button of ours.",
    "chat.request.answered": "What a slash command or a button asked for was worked on.",
    "chat.request.told": "Whoever asked knows the answer: a door showed it, or we said it to them alone.",
}
OF_EVENT: Final = {
    EventKind.MESSAGE: "chat.message.received",
    EventKind.EDITED: "chat.message.edited",
    EventKind.DELETED: "chat.message.deleted",
    EventKind.ADDED: "chat.channel.joined",
    EventKind.REMOVED: "chat.channel.left",
}


def register(registry: Registry) -> None:
    """Catalogue them."""
    for name, about in (INTEGRATION | INGRESS).items():
        registry.add_signal(name, about)

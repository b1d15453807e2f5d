"""A Mattermost on loopback that speaks as the recorded 5.37 server does and fails on command."""

from fleetprompt.sandbox.mattermost.client import SandboxControl
from fleetprompt.sandbox.mattermost.errors import ApiError
from fleetprompt.sandbox.mattermost.hub import HubLimits
from fleetprompt.sandbox.mattermost.ledger import LedgerEntry
from fleetprompt.sandbox.mattermost.records import Channel, Post, SandboxUser, Team
from fleetprompt.sandbox.mattermost.server import SandboxMattermost

__all__ = [
    "ApiError",
    "Channel",
    "HubLimits",
    "LedgerEntry",
    "Post",
    "SandboxControl",
    "SandboxMattermost",
    "SandboxUser",
    "Team",
]

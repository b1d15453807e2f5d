"""Mattermost: REST by mattermostdriver's endpoint classes on httpx2, events by a websocket of our own."""

from adapters.mattermost.adapter import MattermostAdapter
from adapters.mattermost.render import defuse, split
from adapters.mattermost.settings import MattermostSettings, Pace

__all__ = ["MattermostAdapter", "MattermostSettings", "Pace", "defuse", "split"]

"""`fleetprompt demo`: people in a sandbox Mattermost, FleetPrompt as real processes, and a kill -9 in between."""

from fleetprompt.sandbox.demo.play import main

__all__ = ["main"]

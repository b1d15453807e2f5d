"""How a demo goes wrong."""

from __future__ import annotations

from fleetprompt.kernel.errors import FleetPromptError


class DemoFailed(FleetPromptError):
    """The scene could not be played, or FleetPrompt did not keep its word in it."""

    code = "demo_failed"

"""The base of our own errors: each says what happened and what to do."""

from __future__ import annotations


class FleetPromptError(Exception):
    """Shown to a person as `what. advice`; never with a traceback, a secret or a message body."""

    code = "error"

    def __init__(self, what: str, advice: str = "") -> None:
        super().__init__(f"{what} {advice}".strip())
        self.what = what
        self.advice = advice


class NotFound(FleetPromptError):
    """There is no such thing, in this tenant."""

    code = "not_found"


class Conflict(FleetPromptError):
    """It is not in a state that allows this."""

    code = "conflict"


class InvalidInput(FleetPromptError):
    """What was given cannot be used as it is."""

    code = "invalid_input"


class Unavailable(FleetPromptError):
    """Something that we need is away for now."""

    code = "unavailable"

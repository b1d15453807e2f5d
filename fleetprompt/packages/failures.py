"""Row 87: how a step of an installation's life can fail, and what a person does about each kind."""

from __future__ import annotations

from typing import Final

from fleetprompt.kernel.errors import Conflict, FleetPromptError, InvalidInput, NotFound, Unavailable
from fleetprompt.packages.installers import FAILURES, ProbeFailed

MENDED_BY_SETTINGS: Final = ("auth", "config")
"""An install that failed so waits for other settings or another secret."""

REMEDIES: Final = {
    "auth": "Give it a new credential: fleetprompt package configure {package} --org ... --secret NAME=env:VAR",
    "network": "See that this machine reaches the far side, then ask again: fleetprompt package configure {package} --org ..."
    " --set KEY=VALUE, if its address is another",
    "config": "Change what it names: fleetprompt package configure {package} --org ... --set KEY=VALUE",
    "conflict": "Look at what is there, then ask again: fleetprompt package status {package} --org ...",
    "platform": "This is a fault of FleetPrompt or its registry. See its log, and: fleetprompt doctor",
}
assert set(REMEDIES) == set(FAILURES)


def kind_of(error: FleetPromptError) -> str:
    """Its place in the taxonomy."""
    match error:
        case ProbeFailed():
            return error.code
        case Conflict():
            return "conflict"
        case InvalidInput() | NotFound():
            return "config"
        case Unavailable():
            return "network"
        case _:
            return "platform"


def words(error: FleetPromptError, package: str) -> str:
    """What happened, and always what to do."""
    return f"{error.what} {error.advice or remedy(kind_of(error), package)}"


def remedy(kind: str | None, package: str) -> str:
    """What a person does about it."""
    return REMEDIES.get(kind or "platform", REMEDIES["platform"]).format(package=package)

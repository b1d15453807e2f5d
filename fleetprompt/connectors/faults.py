"""An adapter's fault in the words of an installer (row 87)."""

from __future__ import annotations

from adapters.errors import AdapterError, CredentialRefused, Misconfigured, NotAllowed, Passing
from fleetprompt.packages.installers import ProbeFailed

ADVICE = {
    "auth": "Make a new token for the account, and store it.",
    "network": "Check the address, and that this machine may reach it.",
    "config": "Mend the settings: fleetprompt package configure.",
    "platform": "See the log of FleetPrompt.",
}


def probe_failed(error: AdapterError) -> ProbeFailed:
    """With its kind and a remedy."""
    kind = _kind(error)
    what = error.detail[:1].upper() + error.detail[1:].rstrip(".") + "."
    return ProbeFailed(kind, what, error.advice or ADVICE[kind], passing=isinstance(error, Passing))


def _kind(error: AdapterError) -> str:
    if isinstance(error, CredentialRefused):
        return "auth"
    if isinstance(error, Passing):
        return "network"
    return "config" if isinstance(error, Misconfigured | NotAllowed) else "platform"

"""What an installation waits for: `setting:server_url`, `secret:bot_token`."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from fleetprompt.packages.checking import missing_secrets
from fleetprompt.packages.installers import Installer

SETTING, SECRET = "setting", "secret"


def missing_of(installer: Installer, settings: Collection[str], secrets: Collection[str]) -> list[str]:
    """settings: those that are missing; secrets: those that are there."""
    names = missing_secrets(installer, secrets)
    return [*(f"{SETTING}:{name}" for name in settings), *(f"{SECRET}:{name}" for name in names)]


def secrets_among(missing: Collection[str]) -> list[str]:
    """The names of the secrets."""
    return [name for kind, _, name in (one.partition(":") for one in missing) if kind == SECRET]


def spoken(missing: Sequence[str]) -> str:
    """`the setting server_url and the secret bot_token`."""
    words = [f"the {one.replace(':', ' ', 1)}" for one in missing]
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def remedy_of(package: str, missing: Sequence[str]) -> str:
    """The command that gives it what it waits for."""
    options = [
        f"--set {name}=..." if kind == SETTING else f"--secret {name}=env:NAME"
        for kind, _, name in (one.partition(":") for one in missing)
    ]
    return f"fleetprompt package configure {package} --org ... {' '.join(options)}"

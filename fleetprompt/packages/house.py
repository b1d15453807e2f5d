"""What everything above the runtime is handed: the tenants, the catalogue, the settings, the vault."""

from __future__ import annotations

from dataclasses import dataclass

from fleetprompt.packages.installers import Installers
from fleetprompt.packages.secrets import Vault
from fleetprompt.runtime.registry import Registry
from fleetprompt.settings import Settings
from fleetprompt.tenancy import Tenancy


@dataclass(frozen=True, slots=True)
class House:
    """Built once in a composition root."""

    tenancy: Tenancy
    registry: Registry
    settings: Settings
    vault: Vault
    installers: Installers

"""The signals of an installation's life."""

from __future__ import annotations

from typing import Any, Final

from fleetprompt.model import Installation
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import Actor, NewSignal, emit
from fleetprompt.telemetry import events
from fleetprompt.tenancy import TenantSession

NAMES: Final = {
    "package.install.requested": "Somebody asked for a package.",
    "package.install.started": "A package's settings are being tried.",
    "package.install.completed": "A package is installed and works.",
    "package.install.failed": "A package could not be installed; it says why and what to do.",
    "package.install.needs_config": "A package waits for settings or secrets, and says for which.",
    "package.configured": "An installation runs with other settings.",
    "package.configure.failed": "Other settings did not work; those that did are still in force.",
    "package.enabled": "An installation listens and posts again.",
    "package.disabled": "An installation neither listens nor posts.",
    "package.upgrade.requested": "Somebody asked for another version.",
    "package.upgrade.started": "Another version is being tried; the one there goes on.",
    "package.upgrade.completed": "Another version has taken over.",
    "package.upgrade.failed": "Another version could not take over; the one there goes on.",
    "package.rollback.requested": "Somebody asked for the former version.",
    "package.rollback.started": "The former version is being tried; the one there goes on.",
    "package.rollback.completed": "The former version is back.",
    "package.rollback.failed": "The former version could not come back; the one there goes on.",
    "package.uninstall.started": "An installation hears nothing more; what it does ends, then it goes.",
    "package.uninstall.failed": "An installation could not be removed; it says why and what to do.",
    "package.uninstalled": "An installation is gone, its record stays.",
    "package.purged": "What an installation that is gone had heard and said went as well.",
    "package.blocked": "An installation was stopped, since its version was revoked.",
}

_EVENTS: Final = {
    "package.install.requested": events.PACKAGE_INSTALL_REQUESTED,
    "package.install.started": events.PACKAGE_INSTALL_STARTED,
    "package.install.completed": events.PACKAGE_INSTALL_COMPLETED,
    "package.install.failed": events.PACKAGE_INSTALL_FAILED,
}


async def tell(
    session: TenantSession, registry: Registry, installation: Installation, name: str, by: Actor, **more: Any
) -> None:
    """Emit one of them, once for each directive (`causation_id`)."""
    links = {key: more.pop(key) for key in ("correlation_id", "causation_id") if key in more}
    payload = {
        "installation_id": str(installation.id),
        "package": installation.package,
        "version": installation.version,
        "name": installation.name,
        "generation": installation.generation,
        **more,
    }
    key = f"{name}:{installation.id}:{installation.generation}:{links.get('causation_id')}:{more.get('attempt', 0)}"
    new = NewSignal(name, payload, by, dedupe_key=key, installation_id=installation.id, **links)
    await emit(session, registry, new)
    if name in _EVENTS:
        events.event(
            _EVENTS[name], org=session.tenant, package=installation.package, error_code=more.get("error_code")
        )

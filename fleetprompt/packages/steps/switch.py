"""disabled <-> installed."""

from __future__ import annotations

from sqlalchemy import func

from fleetprompt.model.states import InstallationState
from fleetprompt.packages import directory
from fleetprompt.packages.steps.base import (
    Act,
    Begun,
    Done,
    Step,
    Tried,
    held,
    receipt_of,
    require_generation,
    start_afresh,
    tell_step,
)
from fleetprompt.runtime.moves import move
from fleetprompt.tenancy import TenantSession


class Enable(Tried):
    """disabled -> installed; what was written meanwhile is history, or is caught up with."""

    async def begin(self, act: Act, session: TenantSession) -> Begun | Done:
        """Nothing changes yet."""
        installation = await held(act, session)
        if installation.state == InstallationState.INSTALLED:
            return Done(receipt_of(installation))
        require_generation(installation, act)
        secrets = await act.house.vault.read_all(session, installation.id)
        return Begun(installation.package, installation.config, secrets)

    async def complete(self, act: Act, session: TenantSession) -> Done:
        """Listen from now on, or from where reading ended, if that was the same account."""
        installation = await held(act, session)
        require_generation(installation, act)
        goes_on = act.request.get("catch_up") and (installation.account or {}).get("key") == act.probe.key
        if not goes_on:
            await start_afresh(session, installation.id)
        values = {
            "account": act.probe.account,
            "start_at_ms": installation.start_at_ms if goes_on else act.probe.now_ms,
            "generation": installation.generation + 1,
            "blocked": None,
            "error": None,
            "error_code": None,
        }
        await move(session, installation, InstallationState.INSTALLED, updated_at=func.now(), **values)
        await tell_step(act, session, installation, "package.enabled")
        receipt = receipt_of(installation)
        if act.house.installers.find(installation.package).listens:
            await directory.enroll(session, installation, enabled=True)
        return Done(receipt)


class Disable(Step):
    """installed -> disabled."""

    async def begin(self, act: Act, session: TenantSession) -> Begun | Done:
        """Done if it rests."""
        installation = await held(act, session)
        if installation.state == InstallationState.DISABLED:
            return Done(receipt_of(installation))
        return Begun(installation.package, {}, {})

    async def complete(self, act: Act, session: TenantSession) -> Done:
        """Its listener sees it within a second."""
        installation = await held(act, session)
        if installation.state == InstallationState.DISABLED:  # its version was revoked meanwhile
            return Done(receipt_of(installation))
        values = {"generation": installation.generation + 1, "updated_at": func.now()}
        await move(session, installation, InstallationState.DISABLED, **values)
        await tell_step(act, session, installation, "package.disabled")
        receipt = receipt_of(installation)
        await directory.disable(session, installation)
        return Done(receipt)

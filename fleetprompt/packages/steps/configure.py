"""Another configuration takes over, if it works."""

from __future__ import annotations

from fleetprompt.kernel.errors import Conflict
from fleetprompt.model import Directive, Installation
from fleetprompt.model.states import InstallationState
from fleetprompt.packages import directory, grants
from fleetprompt.packages.house import House
from fleetprompt.packages.provision import provision
from fleetprompt.packages.resume import run_soon, unblock
from fleetprompt.packages.steps.base import (
    Act,
    Begun,
    Done,
    Tried,
    held,
    is_staged,
    receipt_of,
    require_generation,
    start_afresh,
    tell_failed,
    tell_step,
)
from fleetprompt.tenancy import TenantSession


class Configure(Tried):
    """What runs stays as it is until the new settings and secrets have worked."""

    async def begin(self, act: Act, session: TenantSession) -> Begun | Done:
        """Nothing changes yet."""
        installation = await held(act, session)
        is_so = installation.config == act.request["config"] and not await is_staged(session, act)
        if is_so and installation.generation == act.request["generation"] + 1:
            return Done(receipt_of(installation))
        require_generation(installation, act)
        await _require_secrets(act, session, installation)
        secrets = await act.house.vault.read_all(session, installation.id, label=act.request["label"])
        return Begun(installation.package, act.request["config"], secrets)

    async def complete(self, act: Act, session: TenantSession) -> Done:
        """The new settings and secrets are in force; another account starts afresh."""
        installation, house = await held(act, session), act.house
        require_generation(installation, act)
        if installation.account.get("key") != act.probe.key:
            await start_afresh(session, installation.id)
            installation.start_at_ms = act.probe.now_ms
        installation.config, installation.account = act.request["config"], act.probe.account
        installation.generation += 1
        installation.error = installation.error_code = None
        await session.flush()
        await house.vault.adopt(session, installation.id, act.request["label"])
        await grants.consent(session, installation.id, act.signed, act.actor, act.request.get("grant", ()))
        await grants.revoke(session, installation.id, act.signed, act.request.get("revoke", ()))
        made = await provision(session, house.registry, installation, act.signed, act.actor)
        await tell_step(act, session, installation, "package.configured", changed=act.request["changed"])
        receipt = {**receipt_of(installation), **made.receipt()}
        waiting = await unblock(session, installation.id)
        if house.installers.find(installation.package).listens:
            is_on = installation.state == InstallationState.INSTALLED
            await directory.enroll(session, installation, enabled=is_on)
        await run_soon(session, waiting)
        return Done(receipt)

    async def failed(
        self, house: House, session: TenantSession, directive: Directive, installation: Installation
    ) -> None:
        """What was staged is forgotten."""
        await house.vault.drop(session, installation.id, directive.arguments["label"])
        await tell_failed(house, session, installation, directive, "package.configure.failed")


async def _require_secrets(act: Act, session: TenantSession, installation: Installation) -> None:
    """Those that came along may be gone: forgotten with a failure, after which a person retries, or taken away."""
    installer = act.house.installers.find(installation.package)
    came = {*installer.secrets, *installer.optional_secrets}.intersection(act.request["changed"])
    if came and not await is_staged(session, act):
        raise Conflict("The secrets that came with this change are gone.", "Ask for it again, with them.")

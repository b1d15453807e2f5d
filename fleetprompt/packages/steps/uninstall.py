"""-> uninstalling -> uninstalled: it hears nothing more, what runs ends, then all that it was goes at once.

    begin     the connection is given up, what has not begun is canceled    (one commit)
    attempt   what runs has some seconds to end
    complete  credentials, position, health and all it provisioned go       (one commit)

What it told and was asked stays on record; the rest is purged when the manifest's `retention_days` are over.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, func, select

from fleetprompt.kernel import clock, faults
from fleetprompt.kernel.errors import Conflict, FleetPromptError
from fleetprompt.kernel.ids import ExecutionId
from fleetprompt.model import Conversation, Directive, Execution, Installation, InstallationHealth, SecretLink
from fleetprompt.model.installation import InstallationVersion
from fleetprompt.model.states import DirectiveState, ExecutionState, InstallationState
from fleetprompt.packages import directory, grants
from fleetprompt.packages.dependents import around, refuse_needed, require_same_around
from fleetprompt.packages.house import House
from fleetprompt.packages.installers import Probe
from fleetprompt.packages.manifest import Manifest
from fleetprompt.packages.provision import withdraw
from fleetprompt.packages.published import find_version
from fleetprompt.packages.steps.base import (
    Act,
    Begun,
    Done,
    Step,
    has_begun,
    held,
    receipt_of,
    start_afresh,
    tell_failed,
    tell_step,
)
from fleetprompt.runtime.directives import end
from fleetprompt.runtime.executions.manage import cancel_execution
from fleetprompt.runtime.moves import move
from fleetprompt.tenancy import TenantSession

DRAIN_S: Final = 10.0
LOOK_EVERY_S: Final = 0.1
RETENTION_DAYS: Final = 30  # where the manifest cannot be read any more
NOT_BEGUN: Final = (DirectiveState.REQUESTED, DirectiveState.AWAITING_APPROVAL)
OPEN: Final = (ExecutionState.QUEUED, ExecutionState.RUNNING, ExecutionState.WAITING)

faults.declare(["package.drained"])


class Uninstall(Step):
    """A death anywhere is mended by running it again: no part needs what an earlier one has removed."""

    async def check(self, act: Act, installation: Installation) -> Manifest | None:
        """Something else may need it by now. A version that is revoked, or gone, can be removed all the same."""
        if installation.state not in (InstallationState.UNINSTALLING, InstallationState.UNINSTALLED):
            async with act.house.tenancy.session(act.effect.tenant) as session:
                act.around = await around(session, installation)
            await refuse_needed(act.house, act.effect.tenant, installation)
        try:
            found = await find_version(act.house.tenancy.database, installation.package, installation.version)
            return found.verified()
        except FleetPromptError:
            return None

    async def begin(self, act: Act, session: TenantSession) -> Begun | Done:
        """From now on it hears nothing and begins nothing."""
        waiting = await _held_directives(
            session, UUID(act.request["installation_id"]), act.effect.directive_id
        )
        installation = await held(act, session)
        if installation.state == InstallationState.UNINSTALLED:
            return Done(receipt_of(installation))
        begun = Begun(installation.package, {}, {})
        if installation.state == InstallationState.UNINSTALLING:
            return begun
        await require_same_around(session, installation, act.around)
        values = {"generation": installation.generation + 1, "updated_at": func.now()}
        await move(session, installation, InstallationState.UNINSTALLING, **values)
        runs = await _cancel_runs(act, session, installation.id)
        canceled = await _cancel(act, session, waiting)
        await tell_step(
            act, session, installation, "package.uninstall.started", canceled=canceled, canceled_runs=runs
        )
        await directory.remove(session, installation)
        return begun

    async def attempt(self, act: Act, begun: Begun) -> Probe | None:
        """Wait for calls that are under way; what takes longer than `DRAIN_S` ends on its own, refused or unknown."""
        for _ in range(round(DRAIN_S / LOOK_EVERY_S)):
            if not await _runs_still(act):
                break
            await asyncio.sleep(LOOK_EVERY_S)
        faults.reach("package.drained")
        return None

    async def complete(self, act: Act, session: TenantSession) -> Done:
        """All in one transaction, so nothing is half gone."""
        installation = await held(act, session)
        gone = await withdraw(session, act.house.registry, installation, act.actor)
        await _remove_belongings(act, session, installation)
        days = RETENTION_DAYS if act.manifest is None else act.manifest.uninstall.retention_days
        values: dict[str, Any] = {"error": None, "error_code": None, "missing": [], "updated_at": func.now()}
        values["purge_at"] = clock.now() + timedelta(days=days)
        await move(session, installation, InstallationState.UNINSTALLED, **values)
        await tell_step(act, session, installation, "package.uninstalled", **gone.receipt(), kept_days=days)
        return Done({**receipt_of(installation), **gone.receipt()})

    async def failed(
        self, house: House, session: TenantSession, directive: Directive, installation: Installation
    ) -> None:
        """Visible, and to be asked for again: it hears nothing, but is not gone."""
        if installation.state == InstallationState.UNINSTALLING and has_begun(directive):
            why = {"error": directive.error, "error_code": directive.error_code, "updated_at": func.now()}
            await move(session, installation, InstallationState.FAILED, **why)
        await tell_failed(house, session, installation, directive, "package.uninstall.failed")


async def _remove_belongings(act: Act, session: TenantSession, installation: Installation) -> None:
    await act.house.vault.forget(session, installation.id)
    await grants.forget(session, installation.id)
    await start_afresh(session, installation.id)
    for table in (InstallationHealth, InstallationVersion, SecretLink):
        await session.execute(delete(table).where(table.installation_id == installation.id))


async def _held_directives(session: TenantSession, installation_id: UUID, own: UUID) -> list[Directive]:
    """Held before the installation: whoever ends a directive holds them in the same order."""
    query = select(Directive).where(
        Directive.installation_id == installation_id, Directive.state.in_(NOT_BEGUN), Directive.id != own
    )
    return list(await session.scalars(query.order_by(Directive.id).with_for_update()))


async def _cancel(act: Act, session: TenantSession, directives: list[Directive]) -> int:
    canceled = 0
    for directive in directives:
        if directive.state in NOT_BEGUN:  # its run may have withdrawn it just now
            reason = "The installation is being removed."
            await end.withdraw(session, act.house.registry, directive, "uninstalled", reason)
            canceled += 1
    return canceled


async def _cancel_runs(act: Act, session: TenantSession, installation_id: UUID) -> int:
    of_it = select(Conversation.id).where(Conversation.installation_id == installation_id)
    query = select(Execution.id).where(Execution.conversation_id.in_(of_it), Execution.state.in_(OPEN))
    found = list(await session.scalars(query.order_by(Execution.id)))
    for execution_id in found:
        with contextlib.suppress(Conflict):  # it has ended meanwhile
            await cancel_execution(session, act.house.registry, ExecutionId(execution_id), act.actor)
    return len(found)


async def _runs_still(act: Act) -> bool:
    async with act.house.tenancy.session(act.effect.tenant) as session:
        running = select(Directive.id).where(
            Directive.installation_id == UUID(act.request["installation_id"]),
            Directive.state == DirectiveState.RUNNING,
            Directive.id != act.effect.directive_id,
        )
        return await session.scalar(running.limit(1)) is not None

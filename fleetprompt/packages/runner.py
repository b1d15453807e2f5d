"""Carries lifecycle directives out: the far side is tried live, then everything changes in one transaction.

Each step may be repeated: it first looks whether it is done already, so a death anywhere is mended by running it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy.exc import IntegrityError

from fleetprompt.kernel.errors import FleetPromptError
from fleetprompt.model import Directive, Installation
from fleetprompt.packages import directory
from fleetprompt.packages.house import House
from fleetprompt.packages.installers import Probe, ProbeFailed
from fleetprompt.packages.planning import recheck
from fleetprompt.packages.steps import Done, Step
from fleetprompt.runtime.directives import Absent, Delivered, EffectTry, Outcome, Refused, RetryIn

TAKEN = "The account is in use already"
TAKEN_ADVICE = "Make an account of its own for each installation, or uninstall the other one first."


class PackageArguments(BaseModel):
    """Which installation, as it was when it was asked for. config, label, changed: of `package.configure` alone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    installation_id: UUID
    package: str
    version: str
    generation: int
    config: dict[str, Any] | None = None
    label: str = ""
    changed: list[str] = []


class LifecycleEffector:
    """One kind of lifecycle directive: `begin`, a live probe if the step wants one, `complete`."""

    def __init__(self, house: House, step: Step) -> None:
        self._house = house
        self._step = step

    async def plan(self, session: Any, directive: Directive) -> Sequence[dict[str, Any]]:
        """A single effect; its actor goes along for the signals."""
        actor = {"kind": directive.actor_kind, "id": directive.actor_id, "name": directive.actor_name}
        return [{**directive.arguments, "actor": actor, "correlation_id": str(directive.correlation_id)}]

    async def perform(self, effect: EffectTry) -> Outcome:
        """Begin, try, complete."""
        try:
            await self._house.vault.key_of(effect.tenant)
            await self._recheck(effect)
            begun = await self._begin(effect)
            if isinstance(begun, Done):
                return Delivered(begun.receipt)
            probe = await self._probe(begun)
            return Delivered((await self._complete(effect, probe)).receipt)
        except ProbeFailed as error:
            if error.passing:
                return RetryIn(None, error.code, str(error))
            return Refused(error.code, str(error))
        except FleetPromptError as error:
            return Refused(error.code if error.code == "conflict" else "platform", str(error))

    async def look_up(self, effect: EffectTry) -> Absent:
        """Doing it again finds what is done."""
        return Absent()

    async def _recheck(self, effect: EffectTry) -> None:
        """What was chosen may have been revoked, or tampered with, since it was asked for."""
        if not self._step.probes:
            return
        async with self._house.tenancy.session(effect.tenant) as session:
            installation = await session.get(Installation, UUID(effect.request["installation_id"]))
        assert installation is not None
        await recheck(self._house.tenancy.database, installation)

    async def _begin(self, effect: EffectTry) -> Any:
        async with self._house.tenancy.session(effect.tenant) as session:
            return await self._step.begin(self._house, session, effect)

    async def _probe(self, begun: Any) -> Probe | None:
        if not self._step.probes:
            return None
        installer = self._house.installers.find(begun.package)
        return await installer.probe(begun.config, begun.secrets)

    async def _complete(self, effect: EffectTry, probe: Probe | None) -> Done:
        try:
            async with self._house.tenancy.session(effect.tenant) as session:
                return await self._step.complete(self._house, session, effect, probe)
        except IntegrityError as error:
            if directory.ACCOUNT_TAKEN not in str(error.orig) or probe is None:
                raise
            raise await self._taken(effect, probe) from error

    async def _taken(self, effect: EffectTry, probe: Probe) -> ProbeFailed:
        """Say whose account it is only to those whose it is."""
        owner = await directory.owner_of(self._house.tenancy.database, probe.key)
        where = ", by another installation of this organization" if owner == effect.tenant else ""
        return ProbeFailed("conflict", f"{TAKEN}{where}.", TAKEN_ADVICE)

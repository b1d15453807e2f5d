"""Carries lifecycle directives out: the far side is tried live, then everything changes in one transaction.

Each step may be repeated: it first looks whether it is done already, so a death anywhere is mended by running it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy.exc import IntegrityError

from fleetprompt.kernel.errors import FleetPromptError
from fleetprompt.model import Directive, Installation
from fleetprompt.packages import directory
from fleetprompt.packages.failures import kind_of, words
from fleetprompt.packages.house import House
from fleetprompt.packages.installers import Probe, ProbeFailed
from fleetprompt.packages.steps import Act, Begun, Done, Step
from fleetprompt.runtime.directives import Absent, Delivered, EffectTry, Outcome, Refused, RetryIn
from fleetprompt.tenancy import TenantSession

TAKEN = "The account is in use already"
TAKEN_ADVICE = "Make an account of its own for each installation, or uninstall the other one first."


class PackageArguments(BaseModel):
    """Which installation, as it was when it was asked for.

    config, label, changed: of `package.configure`, `package.upgrade` and `package.rollback` alone; to, to_digest,
    wider: of the last two; grant, revoke: optional scopes; number: of the former version that a rollback returns to;
    catch_up: of `package.enable`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    installation_id: UUID
    package: str
    version: str
    generation: int
    config: dict[str, Any] | None = None
    label: str = ""
    changed: list[str] = []
    grant: list[str] = []
    revoke: list[str] = []
    to: str = ""
    to_digest: str = ""
    wider: list[str] = []
    number: int = 0
    catch_up: bool = False


class LifecycleEffector:
    """One kind of lifecycle directive: `check`, `begin`, `attempt`, `complete`."""

    def __init__(self, house: House, step: Step) -> None:
        self._house = house
        self._step = step

    async def plan(self, session: Any, directive: Directive) -> Sequence[dict[str, Any]]:
        """A single effect; its actor goes along for the signals."""
        actor = {"kind": directive.actor_kind, "id": directive.actor_id, "name": directive.actor_name}
        return [{**directive.arguments, "actor": actor, "correlation_id": str(directive.correlation_id)}]

    async def perform(self, effect: EffectTry) -> Outcome:
        """As far as it goes now; what fails has a kind and a remedy."""
        try:
            return Delivered((await self._perform(Act(self._house, effect))).receipt)
        except FleetPromptError as error:
            code, reason = kind_of(error), words(error, effect.request["package"])
            if isinstance(error, ProbeFailed) and error.passing:
                return RetryIn(None, code, reason)
            return Refused(code, reason)

    async def look_up(self, effect: EffectTry) -> Absent:
        """Doing it again finds what is done."""
        return Absent()

    async def _perform(self, act: Act) -> Done:
        await self._house.vault.key_of(act.effect.tenant)
        act.manifest = await self._step.check(act, await self._installation(act))
        async with self._session(act) as session:
            begun = await self._step.begin(act, session)
        if isinstance(begun, Done):
            return begun
        assert isinstance(begun, Begun)
        act.found = await self._step.attempt(act, begun)
        return await self._complete(act)

    async def _installation(self, act: Act) -> Installation:
        async with self._session(act) as session:
            installation = await session.get(Installation, UUID(act.request["installation_id"]))
        assert installation is not None
        return installation

    async def _complete(self, act: Act) -> Done:
        try:
            async with self._session(act) as session:
                return await self._step.complete(act, session)
        except IntegrityError as error:
            if directory.ACCOUNT_TAKEN not in str(error.orig) or act.found is None:
                raise
            raise await self._taken(act, act.found) from error

    async def _taken(self, act: Act, probe: Probe) -> ProbeFailed:
        """Say whose account it is only to those whose it is."""
        owner = await directory.owner_of(self._house.tenancy.database, probe.key)
        where = ", by another installation of this organization" if owner == act.effect.tenant else ""
        return ProbeFailed("conflict", f"{TAKEN}{where}.", TAKEN_ADVICE)

    def _session(self, act: Act) -> AbstractAsyncContextManager[TenantSession]:
        return self._house.tenancy.session(act.effect.tenant)

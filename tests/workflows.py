"""A desk for workflows: a tenant, a far side that follows a script, and jobs that run when a test says so."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import select

from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import Directive, WorkflowRun, WorkflowStep
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import NewSignal, emit
from fleetprompt.runtime.signals.replay import Chosen, replay
from fleetprompt.runtime.workflows.definition import read
from fleetprompt.runtime.workflows.manage import Added, add_workflow
from tests import workflow_scenes as scenes
from tests.directives import PERSON, FarSide, run_out
from tests.house import ACME, House, fresh_house

THING = scenes.THING


@dataclass(frozen=True, slots=True)
class Desk:
    """What a test works at."""

    house: House
    registry: Registry
    far: FarSide

    async def add(
        self,
        *steps: dict[str, Any],
        name: str = "follow",
        on: str = THING,
        tenant: TenantSlug = ACME,
        **more: Any,
    ) -> Added:
        """Keep a workflow of these steps."""
        definition = read({"name": name, "on": on, "steps": list(steps), **more})
        async with self.house.tenancy.session(tenant) as session:
            return await add_workflow(session, self.registry, definition, PERSON)

    async def happens(self, name: str = THING, *, tenant: TenantSlug = ACME, **payload: Any) -> UUID:
        """A signal; its jobs wait for `run`."""
        async with self.house.tenancy.session(tenant) as session:
            return (await emit(session, self.registry, NewSignal(name, payload, PERSON))).id

    async def run(self) -> list[str]:
        """Let all jobs run, as time goes by."""
        return await run_out(self.house, self.registry)

    async def replayed(self, *ids: UUID) -> None:
        """Have signals handled again."""
        async with self.house.tenancy.session(ACME) as session:
            await replay(session, self.registry, Chosen(ids=ids), PERSON)
        await self.run()

    async def runs(self, tenant: TenantSlug = ACME) -> list[WorkflowRun]:
        """All runs, oldest first."""
        async with self.house.tenancy.session(tenant) as session:
            return list(await session.scalars(select(WorkflowRun).order_by(WorkflowRun.id)))

    async def the_run(self) -> WorkflowRun:
        """The only one."""
        [run] = await self.runs()
        return run

    async def steps(self, run: WorkflowRun | None = None) -> list[WorkflowStep]:
        """Of a run, or of all."""
        query = select(WorkflowStep).order_by(WorkflowStep.run_id, WorkflowStep.index)
        async with self.house.tenancy.session(ACME) as session:
            return list(await session.scalars(query.where(WorkflowStep.run_id == run.id) if run else query))

    async def states(self) -> list[str]:
        """Of the steps, in order."""
        return [step.state for step in await self.steps()]

    async def directives(self) -> Sequence[Directive]:
        """All, oldest first."""
        async with self.house.tenancy.session(ACME) as session:
            return list(await session.scalars(select(Directive).order_by(Directive.id)))

    async def told(self, name: str) -> list[dict[str, Any]]:
        """The payload of each signal of this name, in order."""
        rows = await self.house.tenant_rows(ACME, "select name, payload from signals order by id")
        return [json.loads(row[1]) for row in rows if row[0] == name]


@contextlib.asynccontextmanager
async def desk(folder: Path, *acts: str, looks: Sequence[str] = ("truth",)) -> AsyncIterator[Desk]:
    """With the agent `fleet`, which answers by the planner that needs no model."""
    models = scenes.models()
    async with fresh_house() as house:
        far = FarSide(folder / "ledger", acts or ("ok",), looks)
        registry = scenes.registry_of(far, models)
        async with house.tenancy.session(ACME) as session:
            await scenes.hire(session)
        yield Desk(house, registry, far)
    await models.close()

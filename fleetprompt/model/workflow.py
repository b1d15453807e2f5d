"""Workflows: what shall follow a signal, as data; their versions, their runs, and each step of a run."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, ForeignKeyConstraint, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from fleetprompt.model.base import JsonObject, TenantBase


class Workflow(TenantBase):
    """One workflow by its name. signal_pattern: of the newest version, as `emit` looks for it: a name, or `chat.*`."""

    __tablename__ = "workflows"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    state: Mapped[str]
    version: Mapped[int]  # the newest one, by which new runs go
    signal_pattern: Mapped[str]
    installation_id: Mapped[UUID | None]  # of the package that provides it; NULL = made by a person
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class WorkflowVersion(TenantBase):
    """A definition as it was given; it never changes, so that a run ends as it began."""

    __tablename__ = "workflow_versions"

    workflow_id: Mapped[UUID] = mapped_column(ForeignKey(Workflow.id, ondelete="CASCADE"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str]
    definition: Mapped[JsonObject]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class WorkflowRun(TenantBase):
    """One run of one version for one signal.

    signal: what templates may read of the signal, kept since the fact itself ends earlier. depth: the how manieth run
    of its workflow it is in a chain in which one leads to the next.
    """

    __tablename__ = "workflow_runs"
    __table_args__ = (
        ForeignKeyConstraint(
            ["workflow_id", "version"], [WorkflowVersion.workflow_id, WorkflowVersion.version]
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workflow_id: Mapped[UUID]
    version: Mapped[int]
    idempotency_key: Mapped[str] = mapped_column(unique=True)
    state: Mapped[str]
    signal_id: Mapped[UUID]
    signal: Mapped[JsonObject]
    correlation_id: Mapped[UUID]
    installation_id: Mapped[UUID | None]  # of the signal, as is the conversation
    conversation_id: Mapped[UUID | None]
    depth: Mapped[int]
    lane: Mapped[str | None]
    position: Mapped[int] = mapped_column(server_default="0")
    error_code: Mapped[str | None]
    error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class WorkflowStep(TenantBase):
    """A step of a run. input: what it was begun with, all templates filled in."""

    __tablename__ = "workflow_steps"
    __table_args__ = (UniqueConstraint("run_id", "index"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    run_id: Mapped[UUID] = mapped_column(ForeignKey(WorkflowRun.id, ondelete="CASCADE"))
    index: Mapped[int]
    name: Mapped[str]
    kind: Mapped[str]  # directive, agent, wait, emit
    state: Mapped[str]
    round: Mapped[int] = mapped_column(server_default="0")  # how often a person had it begun anew
    input: Mapped[JsonObject | None]
    result: Mapped[JsonObject | None]
    directive_id: Mapped[UUID | None]
    execution_id: Mapped[UUID | None]
    signal_id: Mapped[UUID | None]  # that it emitted
    wake_at: Mapped[datetime | None]
    error_code: Mapped[str | None]
    error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

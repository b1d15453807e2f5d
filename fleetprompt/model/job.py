"""Jobs: rows of ids that say what is still to be done. Postgres is the truth; a broker only carries."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from fleetprompt.model.base import JsonObject, PublicBase


class Job(PublicBase):
    """One piece of work for one tenant. Its arguments are ids only; a tenant's role may insert, never read.

    lane serialises: at most one job of a lane runs, and a lane is worked in order of `position`. attempt rises at
    the claim, so a job that kills its worker ends as a dead letter too.
    """

    __tablename__ = "job"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[str]
    kind: Mapped[str]
    args: Mapped[JsonObject]
    lane: Mapped[str | None]
    position: Mapped[int] = mapped_column(server_default="0")
    state: Mapped[str] = mapped_column(server_default="available")
    priority: Mapped[int] = mapped_column(server_default="0")  # lower runs first
    attempt: Mapped[int] = mapped_column(server_default="0")
    max_attempts: Mapped[int] = mapped_column(server_default="8")
    scheduled_at: Mapped[datetime] = mapped_column(server_default=func.now())
    lease_until: Mapped[datetime | None]
    worker: Mapped[str | None]
    unique_key: Mapped[str | None]  # unique among those that are not dead
    correlation_id: Mapped[UUID | None]
    last_error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]  # when it died; a job that succeeded is deleted


class Worker(PublicBase):
    """Who claims jobs, and whether it sleeps: only sleepers are notified."""

    __tablename__ = "worker"

    id: Mapped[str] = mapped_column(primary_key=True)
    idle: Mapped[bool]
    seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    host: Mapped[str]
    pid: Mapped[int]
    slots: Mapped[int] = mapped_column(server_default="0")  # jobs that it runs at a time
    kinds: Mapped[list[str]] = mapped_column(ARRAY(Text()), server_default="{}")  # of jobs that it can run
    backend: Mapped[int | None]  # pid of the process of Postgres behind the connection that it listens on
    machine: Mapped[str | None]  # where its pid means something
    born: Mapped[int | None]  # when its process began, by that machine


class Schedule(PublicBase):
    """A recurring job. `next_at` is moved by compare-and-set in the transaction that inserts the job."""

    __tablename__ = "schedule"

    name: Mapped[str] = mapped_column(primary_key=True)
    tenant: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    cron: Mapped[str]
    next_at: Mapped[datetime]
    last_at: Mapped[datetime | None]

"""`fleetprompt jobs`: what is still to be done, and the dead letters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

import rich_click as click

from fleetprompt.cli import options, output
from fleetprompt.cli.running import in_house, parse_id, require_org

if TYPE_CHECKING:
    from fleetprompt.composition import House
    from fleetprompt.database.engine import Database
    from fleetprompt.kernel.ids import TenantSlug
    from fleetprompt.model import Job

FIELDS = (
    "id", "kind", "state", "attempt", "max_attempts", "scheduled_at", "lease_until", "worker", "lane", "priority",
    "correlation_id", "last_error", "created_at", "finished_at",
)  # fmt: skip
SHOWN = (*FIELDS, "position", "unique_key", "args")
STATES = ("available", "dispatched", "running", "dead")


@click.group()
def jobs() -> None:
    """Jobs: what is still to be done; a finished job is gone, its outcome stands on what it worked for."""


@jobs.command("list", help=f"Unfinished and dead jobs, oldest first.\n\n{options.fields(FIELDS)}")
@options.org
@click.option("--state", type=click.Choice(STATES), help="In this state.")
@options.limit
@options.as_json
def list_(org: str, state: str | None, limit: int, as_json: bool) -> None:
    async def act(house: House) -> Sequence[Job]:
        from fleetprompt.runtime.jobs.letters import list_jobs

        return await list_jobs(house.database, await require_org(house, org), state=state, limit=limit)

    rows = [output.pick(job, FIELDS) for job in in_house(act)]
    columns = ("id", "kind", "state", "attempt", "scheduled_at", "last_error")
    output.show_rows(rows, columns, as_json=as_json, nothing="No such jobs: nothing waits, nothing died.")


@jobs.command(help=f"One job with its arguments.\n\n{options.fields(SHOWN)}")
@click.argument("job_id", metavar="ID")
@options.org
@options.as_json
def show(job_id: str, org: str, as_json: bool) -> None:
    async def act(house: House) -> Job:
        from fleetprompt.runtime.jobs.letters import find_job

        return await find_job(house.database, await require_org(house, org), parse_id(job_id, "job"))

    output.show_one(output.pick(in_house(act), SHOWN), as_json=as_json)


@jobs.command(help="Give a dead letter another round of attempts.")
@click.argument("job_id", metavar="ID")
@options.org
def retry(job_id: str, org: str) -> None:
    from fleetprompt.runtime.jobs.letters import retry_job

    _act(retry_job, job_id, org)
    output.say(f"Job {job_id} is available again.")


@jobs.command(help="Remove a dead letter for good.")
@click.argument("job_id", metavar="ID")
@options.org
def discard(job_id: str, org: str) -> None:
    from fleetprompt.runtime.jobs.letters import discard_job

    _act(discard_job, job_id, org)
    output.say(f"Job {job_id} is removed.")


def _act(handler: Callable[[Database, TenantSlug, UUID], Awaitable[None]], job_id: str, org: str) -> None:
    async def act(house: House) -> None:
        await handler(house.database, await require_org(house, org), parse_id(job_id, "job"))

    in_house(act)

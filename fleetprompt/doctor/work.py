"""The work: workers alive, jobs stuck or dead, directives that wait for a person, installations that need one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import func, select, text

from fleetprompt.composition import House
from fleetprompt.doctor.finding import Finding, counted, fail, ok, warn
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import Directive
from fleetprompt.model.states import DirectiveState, InstallationState
from fleetprompt.packages import look
from fleetprompt.packages.look import Status

OVERDUE_S: Final = 60
ALIVE_S: Final = 15

_WORKERS = text("select count(*) from public.worker where seen_at > now() - make_interval(secs => :alive_s)")
_JOBS = text("""
select count(*) filter (where state = 'dead') as dead,
    count(*) filter (where state = 'running' and lease_until < now() - make_interval(secs => :overdue_s)) as stuck,
    count(*) filter (where state in ('available', 'dispatched')
        and scheduled_at < now() - make_interval(secs => :overdue_s)) as overdue,
    count(*) as in_all
from public.job where tenant = :tenant
""")


@dataclass(frozen=True, slots=True)
class Jobs:
    """One tenant's jobs. stuck: their lease ran out long ago; overdue: nobody took them."""

    dead: int
    stuck: int
    overdue: int
    in_all: int


async def check_workers(house: House) -> Finding:
    """Somebody works."""
    async with house.database.connection() as connection:
        count = int((await connection.execute(_WORKERS, {"alive_s": ALIVE_S})).scalar_one())
    if count == 0:
        return warn("workers", "none runs: messages are stored, nothing is answered", "Run: fleetprompt up")
    return ok("workers", f"{count} at work")


async def check_jobs(house: House, org: TenantSlug) -> list[Finding]:
    """Nothing died, nothing is stuck."""
    async with house.database.connection() as connection:
        values = {"tenant": org, "overdue_s": OVERDUE_S}
        jobs = Jobs(*(await connection.execute(_JOBS, values)).one())
    return judge_jobs(jobs, org)


def judge_jobs(jobs: Jobs, org: str) -> list[Finding]:
    """What an operator should know of them."""
    findings = []
    if jobs.dead:
        remedy = f"See: fleetprompt jobs list --org {org} --state dead; then jobs retry or discard."
        findings.append(warn("jobs", counted(jobs.dead, "dead letter"), remedy, org))
    if jobs.stuck:
        remedy = "A worker takes them over; is one running? fleetprompt worker"
        findings.append(
            fail("jobs", f"{counted(jobs.stuck, 'job')} left by workers that are gone", remedy, org)
        )
    if jobs.overdue:
        remedy = "Start a worker, or another one: fleetprompt worker"
        findings.append(
            warn("jobs", f"{counted(jobs.overdue, 'job')} due for more than a minute", remedy, org)
        )
    return findings or [ok("jobs", f"{jobs.in_all} unfinished, none stuck", org)]


async def check_directives(house: House, org: TenantSlug) -> list[Finding]:
    """Nothing waits for a person."""
    async with house.tenancy.session(org) as session:
        states = (DirectiveState.OUTCOME_UNKNOWN, DirectiveState.AWAITING_APPROVAL)
        query = select(Directive.state, func.count()).where(Directive.state.in_(states))
        rows = await session.execute(query.group_by(Directive.state))
        count: dict[str, int] = dict(rows.all())
    listing = f"fleetprompt directives list --org {org} --state"
    findings = []
    if unknown := count.get(DirectiveState.OUTCOME_UNKNOWN):
        remedy = (
            f"Look on the far side, then: directives resolve ID --sent|--not-sent. {listing} outcome_unknown"
        )
        findings.append(
            warn("directives", f"{counted(unknown, 'directive')} of unknown outcome", remedy, org)
        )
    if waiting := count.get(DirectiveState.AWAITING_APPROVAL):
        remedy = f"{listing} awaiting_approval; then directives approve ID, or reject ID."
        findings.append(
            warn("directives", f"{counted(waiting, 'directive')} waiting for approval", remedy, org)
        )
    return findings or [ok("directives", "none waits for a person", org)]


async def check_installations(house: House, org: TenantSlug) -> list[Finding]:
    """Each is connected, or says what to do."""
    found = await look.status(house.services.packages, org)
    return [judge_installation(one, org) for one in found] or [ok("installations", "none", org)]


def judge_installation(one: Status, org: str) -> Finding:
    """Of one installation."""
    check = f"{one.package} {one.name}".strip()
    advice = one.remedy or f"fleetprompt package status {one.package} --org {org}"
    configure = f"fleetprompt package configure {one.package} --org {org}"
    if one.blocked is not None:
        return fail(check, f"{one.state}: {one.error}", advice.replace("--org ...", f"--org {org}"), org)
    if one.state in (InstallationState.FAILED, InstallationState.NEEDS_CONFIG):
        mending = (one.remedy or configure).replace("--org ...", f"--org {org}")
        return fail(check, f"{one.state}: {one.error or 'see its status'}", mending, org)
    if one.state != InstallationState.INSTALLED:
        return ok(check, one.state, org)
    if not one.is_listened_to:
        return warn(check, "installed, but no listener holds it", "Run: fleetprompt up", org)
    if one.connection == "error":
        mending = advice if "package configure" in advice else f"{advice} Then: {configure}"
        return fail(check, f"needs you: {one.last_error}", mending, org)
    if one.connection != "connected":
        return warn(
            check, f"{one.connection or 'not connected yet'}: {one.last_error or 'it tries'}", advice, org
        )
    if one.stuck:
        remedy = f"fleetprompt directives list --org {org} --state failed"
        return warn(
            check, f"connected; {counted(one.stuck, 'directive')} failed or of unknown outcome", remedy, org
        )
    return ok(check, f"connected as @{one.account}", org)

"""Commands that change nothing: what can be said, who somebody is, what there is, how it does, what happened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import or_, select

from fleetprompt.model import Plan, Signal
from fleetprompt.model.states import AgentState
from fleetprompt.packages import look
from fleetprompt.packages.commands.consent import consent_lines
from fleetprompt.packages.commands.context import Context, in_chat
from fleetprompt.packages.commands.drafts import spoken
from fleetprompt.packages.commands.plans import find_plan
from fleetprompt.packages.commands.verbs import VERBS
from fleetprompt.packages.info import describe, find_packages
from fleetprompt.packages.look import Status
from fleetprompt.packages.published import find_version
from fleetprompt.runtime.agents.manage import list_agents
from fleetprompt.runtime.trace import find_trace
from fleetprompt.runtime.trace_text import trace_lines

LATELY: Final = 10
MOST_LINES: Final = 60
AUDITED: Final = ("package.%", "membership.%", "identity.%", "agent.paused", "agent.resumed", "directive.approved",
                  "directive.rejected")  # fmt: skip


async def help_(context: Context) -> str:
    """All commands, or one."""
    verb = VERBS.get(context.command.word.casefold())
    if verb is not None:
        who = f" For {verb.role}s and above." if verb.role else ""
        return f"{verb.usage_text}: {verb.about}{who}"
    async with context.session() as session:
        agents = await list_agents(session)
    tools = context.house.registry.tools
    active = [agent for agent in agents if agent.state == AgentState.ACTIVE]
    abilities = list[str]()
    for agent in active:
        abilities.append(f"- `{agent.name}`: {agent.purpose or 'answers'}")
        abilities += [f"  - {tools[name].description}" for name in agent.tools if name in tools]
    lines = [f"- {verb.usage_text}: {verb.about}" for verb in VERBS.values()]
    asked = (
        ["**Ask an agent** whatever is no command:", *abilities]
        if active
        else ["There is no agent to ask yet."]
    )
    return "\n".join([*asked, "**Commands**", *lines])


async def whoami(context: Context) -> str:
    """The person behind the account."""
    member, asked = context.member, context.asked
    if member is None:
        return f"Here you are nobody whom I know. {how_to_link(context)}"
    return f"You are {member.name}, {member.role} of `{asked.tenant}`."


def how_to_link(context: Context) -> str:
    """What somebody does whom we do not know."""
    base = context.house.settings.public_address
    return (
        f"Log in at {base}/link, take the code that you find there, and send it to me in a direct"
        " message: `link CODE`"
    )


async def search(context: Context) -> str:
    """Packages that speak of all the words."""
    words = context.command.rest
    words = words.removeprefix("packages").strip() if words.startswith("packages") else words
    found = await find_packages(context.house, words)
    if not found:
        return f"No package speaks of {words!r}. `search` alone lists all."
    return "\n".join(
        f"- `{one.package}` {one.version}: {one.summary}"
        + ("" if one.installable else " *(not installable yet)*")
        for one in found
    )


async def info(context: Context) -> str:
    """What a package brings, asks for and costs."""
    told = await describe(context.house, context.command.pin)
    published = await find_version(context.house.tenancy.database, told.package, told.version)
    lines = [
        f"**{told.name}** (`{told.package}` {told.version}, {told.state}), by {told.author}",
        told.summary,
    ]
    lines += [in_chat(told.problem)] if told.problem else []
    lines += consent_lines(published.verified())
    settings: dict[str, Any] = told.config["schema"].get("properties", {})
    lines += ["**Settings**", *(f"- `{name}`: {about['description']}" for name, about in settings.items())]
    return "\n".join(lines)


async def status(context: Context) -> str:
    """What is installed, and how it does."""
    found = await look.status(context.house, context.asked.tenant, context.command.package or None)
    name = context.command.name
    chosen = [one for one in found if not name or one.name == name]
    if not chosen:
        return "Nothing is installed here. `search` lists what can be."
    return "\n".join(line for one in chosen for line in _status(one))


def _status(one: Status) -> Sequence[str]:
    name = f"/{one.name}" if one.name else ""
    parts = [f"`{one.package}{name}` {one.version}: **{one.state}**"]
    parts += [f"as {one.account}"] if one.account else []
    parts += [one.connection] if one.connection else []
    parts += [f"{one.waiting} waiting"] if one.waiting else []
    parts += [f"{one.stuck} stuck"] if one.stuck else []
    lines = [f"- {', '.join(parts)}"]
    for said in (one.error, one.last_error):
        lines += [f"  - {in_chat(said)}"] if said else []
    lines += [f"  - {in_chat(one.remedy)}"] if one.remedy else []
    return lines


async def test(context: Context) -> str:
    """Each check of an installation."""
    package, tenant = context.command.package, context.asked.tenant
    found = await look.status(context.house, tenant, package or None)
    if not found:
        return f"`{package}` is not installed here." if package else "Nothing is installed here."
    chosen = [one for one in found if not context.command.name or one.name == context.command.name]
    lines = list[str]()
    for one in chosen:
        checks = await look.check_installation(context.house, tenant, one.package, name=one.name)
        lines.append(f"**{one.package}{'/' + one.name if one.name else ''}** {one.version}, {one.state}")
        lines += [
            f"{'✅' if check.ok else '❌'} {check.name}: {in_chat(check.detail)}"
            + (f" {in_chat(check.remedy)}" if check.remedy else "")
            for check in checks
        ]
    return "\n".join(lines)


async def audit(context: Context) -> str:
    """The trace of one id, how far a plan came, or what was done lately."""
    wanted = context.command.word
    if not wanted:
        return await (_of_plan(context) if context.command.rest else _lately(context))
    return await _traced(context, wanted)


async def _traced(context: Context, wanted: str) -> str:
    found = await find_trace(context.house.tenancy, context.asked.tenant, wanted)
    lines = list(trace_lines(found))
    cut = [f"... and {len(lines) - MOST_LINES} more lines"] if len(lines) > MOST_LINES else []
    return "\n".join(["```", *(line.replace("```", "") for line in lines[:MOST_LINES]), *cut, "```"])


async def _of_plan(context: Context) -> str:
    async with context.session() as session:
        plan = await find_plan(session, context.command.rest)
    if plan is None:
        return f"There is no plan `{context.command.rest}`."
    moments = {
        "asked for": plan.created_at,
        "void": plan.voided_at,
        "confirmed": plan.confirmed_at,
        "over": plan.finished_at,
    }
    lines = [f"**{plan.code}**: {spoken(plan.wish)}"]
    lines += [
        f"- {what} {moment:%Y-%m-%d %H:%M:%S}" for what, moment in moments.items() if moment is not None
    ]
    lines += [plan.shown] if plan.shown else []
    traced = await _traced(context, str(plan.directive_id)) if plan.directive_id is not None else ""
    return "\n".join([*lines, *([traced] if traced else [])])


async def _lately(context: Context) -> str:
    chosen = or_(*(Signal.name.like(pattern) for pattern in AUDITED))
    async with context.session() as session:
        query = select(Signal).where(chosen).order_by(Signal.id.desc()).limit(LATELY)
        found = list(await session.scalars(query))
        open_ = list(
            await session.scalars(
                select(Plan).where(Plan.confirmed_at.is_not(None), Plan.finished_at.is_(None))
            )
        )
    lines = [
        f"- {one.occurred_at:%Y-%m-%d %H:%M:%S} `{one.name}` {one.payload.get('package', '')}"
        f" by {one.actor_name or one.actor_id}: `audit {one.id}`"
        for one in found
    ]
    lines += [f"- under way: plan {one.code}, {one.wish['verb']} `{one.wish['package']}`" for one in open_]
    return "\n".join(lines) if lines else "Nothing was done to packages and people yet."

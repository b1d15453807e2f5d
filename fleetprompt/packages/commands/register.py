"""The commands' entries in the registry: the hook before the agents, their jobs, and what edits a plan's post."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from sqlalchemy import select

from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import Conversation, Directive, Installation, Signal
from fleetprompt.packages.commands import carry, grammar, links, plans
from fleetprompt.packages.commands.asked import Asked
from fleetprompt.packages.commands.follow import follow
from fleetprompt.packages.commands.obey import known_packages, obey
from fleetprompt.packages.house import House
from fleetprompt.packages.telling import NAMES as PACKAGE_NAMES
from fleetprompt.runtime.executions.end import say
from fleetprompt.runtime.jobs import NewJob
from fleetprompt.runtime.jobs.follow import follow_up
from fleetprompt.runtime.jobs.work import Work
from fleetprompt.runtime.registry import Channel, Handler, JobKind, Offer, Speech
from fleetprompt.runtime.signals.emit import SYSTEM
from fleetprompt.tenancy import TenantSession
from fleetprompt.tenancy.rows import get

OBEY: Final = "command.obey"
DIRECT: Final = "direct"
REWRITTEN: Final = "This was edited before I read it, so I do not obey it. Say it again."
ANSWER: Final = "signal:{}:command"
BROKEN: Final = (
    "That did not work, by a fault of ours. `status` and `audit` say how things stand; then say it again."
)


def register_commands(house: House) -> None:
    """Called once by a composition root, after the packages registered."""
    registry = house.registry
    for name, about in plans.NAMES.items():
        registry.add_signal(name, about, retention="audit")
    links.register(house)

    async def is_command(
        session: TenantSession, signal: Signal, conversation: Conversation, installation: Installation
    ) -> bool:
        return await _take(house, session, signal, installation)

    registry.commands = is_command
    registry.add_job(JobKind(OBEY, lambda work: _answer(house, work), _answer_died(house)))
    registry.add_job(JobKind(plans.CARRY, lambda work: carry.carry(house, work), _carry_died(house)))
    _register_following(house)


async def _take(house: House, session: TenantSession, signal: Signal, installation: Installation) -> bool:
    """Whether a person of the chat said a command to us; then its job is on its way.

    Without a mention nothing is obeyed in a thread but the confirmation of a plan that was shown there.
    """
    payload, channel = signal.payload, house.registry.channels.get(installation.package)
    is_person = payload["author"]["kind"] == "person" and not payload.get("third_party", False)
    if not is_person or channel is None or channel.server_key is None:
        return False
    text = payload["request"]
    if not payload["addressed"]:
        if not await _confirms_here(session, signal, text):
            return False
    elif not grammar.may_be(text) or grammar.parse(text, await known_packages(session)) is None:
        return False
    await follow_up(session, _job(signal))
    return True


async def _confirms_here(session: TenantSession, signal: Signal, text: str) -> bool:
    code = grammar.is_confirmation(text)
    plan = await plans.find_plan(session, code) if code is not None else None
    return plan is not None and plan.door.get("conversation_id") == str(signal.conversation_id)


def _job(signal: Signal) -> NewJob:
    return NewJob(
        OBEY,
        {"signal_id": str(signal.id)},
        lane=signal.payload.get("lane"),
        position=signal.payload.get("position", 0),
        unique_key=f"command:{signal.id}",
        correlation_id=signal.correlation_id,
    )


async def _answer(house: House, work: Work) -> None:
    """Obey, and answer in the thread; the answer's key is the message's, so there is one."""
    async with house.tenancy.session(work.tenant) as session:
        signal = await get(session, Signal, UUID(work.args["signal_id"]))
        installation = await get(session, Installation, signal.installation_id) if signal else None
        if signal is None or installation is None or await _is_answered(session, signal):
            return
    channel = house.registry.channels[installation.package]
    asked = asked_by(work.tenant, signal, installation, channel)
    # Some chats let an administrator rewrite what others said, and rights come from a binding alone.
    text = REWRITTEN if signal.payload.get("rewritten") else await obey(house, asked)
    async with work.step() as session:
        conversation = await get(session, Conversation, signal.conversation_id)
        if text and conversation is not None:
            await _say(house, session, conversation, asked, text, await _offers(session, asked))
        await work.conclude(session)


def asked_by(tenant: TenantSlug, signal: Signal, installation: Installation, channel: Channel) -> Asked:
    """A message of a chat as a request."""
    payload = signal.payload
    assert channel.server_key is not None
    return Asked(
        tenant,
        installation.id,
        installation.package,
        channel.server_key(installation.config),
        payload["author"]["id"],
        payload["author"]["name"],
        signal.conversation_id,
        payload["request"],
        f"signal:{signal.id}",
        payload["place"]["channel_kind"] == DIRECT,
        correlation_id=signal.correlation_id,
        causation_id=signal.id,
        lane=payload.get("lane"),
        position=payload.get("position", 0),
    )


async def _is_answered(session: TenantSession, signal: Signal) -> bool:
    """A signal may be handled again after years: what was obeyed then is not obeyed once more."""
    query = select(Directive.id).where(Directive.idempotency_key == ANSWER.format(signal.id))
    return await session.scalar(query) is not None


async def _offers(session: TenantSession, asked: Asked) -> tuple[Offer, ...]:
    """What a button below the answer says: the confirmation of a plan, by whoever asked for it."""
    plan = await plans.of_request(session, asked.key)
    if plan is None or plan.confirmed_at is not None:
        return ()
    lasts_s = plans.LASTS.total_seconds()
    return (Offer("Confirm", f"confirm {plan.code}", "primary", lasts_s, asked.subject),)


async def _say(
    house: House,
    session: TenantSession,
    conversation: Conversation,
    asked: Asked,
    text: str,
    offers: tuple[Offer, ...],
) -> None:
    await say(
        session,
        house.registry,
        conversation,
        text,
        key=ANSWER.format(asked.causation_id),
        actor=SYSTEM,
        summary="A command is answered.",
        speech=Speech.NOTICE,
        offers=offers,
        correlation_id=asked.correlation_id,
        causation_id=asked.causation_id,
        lane=asked.lane,
        position=asked.position,
    )


def _register_following(house: House) -> None:
    """A plan's post follows its installation and its directive."""

    async def changed(session: TenantSession, signal: Signal) -> None:
        for plan in await plans.under_way(session, installation_id=signal.installation_id):
            held = await plans.locked(session, plan.id)
            if held is not None and held.finished_at is None:
                await follow(house, session, held)

    async def settled(session: TenantSession, directive: Directive) -> None:
        if directive.name.startswith("package."):
            found = await plans.under_way(
                session, directive_id=directive.id, installation_id=directive.installation_id
            )
            for plan in found:
                await plans.carry_on(session, plan)

    for name in PACKAGE_NAMES:
        house.registry.on(name, Handler("commands.follow", changed))
    house.registry.settled.append(settled)


def _answer_died(house: House) -> Any:
    async def died(work: Work, args: dict[str, Any], error: str) -> None:
        async with work.finish() as session:
            signal = await get(session, Signal, UUID(args["signal_id"]))
            conversation = await get(session, Conversation, signal.conversation_id) if signal else None
            installation = await get(session, Installation, signal.installation_id) if signal else None
            if signal is None or conversation is None or installation is None:
                return
            asked = asked_by(work.tenant, signal, installation, house.registry.channels[installation.package])
            await _say(house, session, conversation, asked, BROKEN, ())

    return died


def _carry_died(house: House) -> Any:
    async def died(work: Work, args: dict[str, Any], error: str) -> None:
        await carry.gave_up(house, work, UUID(args["plan_id"]), error)

    return died

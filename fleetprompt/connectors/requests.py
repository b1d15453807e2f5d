"""Working on what a door took: a command is obeyed, anything else goes to the agent as a direct message would."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from adapters.contract import Author, AuthorKind, Cursor, EventKind, Inbound, Place, ReachesOne
from adapters.errors import AdapterError
from fleetprompt.connectors import doors
from fleetprompt.connectors.ingest import ChatBatch, Source
from fleetprompt.connectors.pool import AdapterPool
from fleetprompt.kernel import clock, faults
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import Installation, Signal
from fleetprompt.model.states import IN_FORCE
from fleetprompt.packages.commands import grammar
from fleetprompt.packages.commands.asked import Asked as CommandAsked
from fleetprompt.packages.commands.obey import known_packages, obey
from fleetprompt.packages.house import House
from fleetprompt.runtime.directives import NewDirective, request
from fleetprompt.runtime.jobs import NewJob, enqueue
from fleetprompt.runtime.jobs.follow import follow_up
from fleetprompt.runtime.jobs.work import Postpone, Work
from fleetprompt.runtime.registry import Handler, JobKind
from fleetprompt.runtime.signals import NewSignal, emit
from fleetprompt.runtime.signals.emit import SYSTEM
from fleetprompt.tenancy import TenantSession
from fleetprompt.tenancy.rows import get

COMMAND: Final = "chat.command.received"
ACTION: Final = "chat.action.received"
WORK_OFF: Final = "chat.request"
TELL: Final = "chat.request.tell"
HANDED_ON: Final = "I am on it. The answer comes in our direct messages."
DOOR_IS_SHUT_S: Final = 1.5  # by then no door shows an answer any more
UNREACHABLE_WAIT_S: Final = 2.0
FAILED: Final = "What you asked for could not be carried out ({kind}). An administrator finds the reason in `fleetprompt jobs list`."


faults.declare({"request.obeyed"})


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it was stored, and by whom it came."""

    signal: Signal
    installation: Installation

    @property
    def text(self) -> str:
        """What the person wrote, or what the button says."""
        return str(self.signal.payload["text"])

    @property
    def is_pressed(self) -> bool:
        """It came by a button, which says commands alone, where others read along."""
        return self.signal.name == ACTION

    @property
    def account(self) -> Mapping[str, str]:
        """Of the person: id and name."""
        found: Mapping[str, str] = self.signal.payload["account"]
        return found


def register_requests(house: House, pool: AdapterPool) -> None:
    """Called once, after the channels are registered."""
    registry = house.registry

    async def begin(session: TenantSession, signal: Signal) -> None:
        job = NewJob(
            WORK_OFF,
            {"signal_id": str(signal.id)},
            lane=signal.payload.get("lane"),
            position=signal.payload.get("position", 0),
            unique_key=f"{WORK_OFF}:{signal.id}",
            correlation_id=signal.correlation_id,
        )
        await follow_up(session, job)

    async def work_off(work: Work) -> None:
        await _work_off(house, pool, work)

    async def tell(work: Work) -> None:
        await _tell(house, work)

    async def died(work: Work, args: dict[str, Any], _error: str) -> None:
        async with work.step() as session:
            signal = await get(session, Signal, UUID(args["signal_id"]))
            if signal is not None:
                await _answer(house, session, signal, FAILED.format(kind=signal.name))

    registry.add_job(JobKind(WORK_OFF, work_off, died))
    registry.add_job(JobKind(TELL, tell))
    for name in (COMMAND, ACTION):
        registry.on(
            name, Handler("requests.begin", begin, lambda payload: not payload.get("withheld", False))
        )


async def _work_off(house: House, pool: AdapterPool, work: Work) -> None:
    async with work.step() as session:
        asked = await _asked(session, UUID(work.args["signal_id"]))
        if asked is not None and await _is_done(session, asked.signal):
            asked = None
        known = await known_packages(session) if asked is not None else []
    if asked is None:
        await work.end()
    elif grammar.parse(asked.text, known, certain=asked.is_pressed) is not None:
        await _obey(house, work, asked)
    else:
        place = await _private_place(pool, work.tenant, asked)
        async with work.finish() as session:
            await _hand_on(house, session, asked, place)
            await _answer(house, session, asked.signal, HANDED_ON)


async def _is_done(session: TenantSession, signal: Signal) -> bool:
    """A signal may be handled again after years: what was answered then is not obeyed once more."""
    return await doors.answer_to(session, signal.id) not in (None, FAILED.format(kind=signal.name))


async def _obey(house: House, work: Work, asked: Asked) -> None:
    """What a command changes is recorded in there, once for each request; here is its answer."""
    text = await obey(house, _as_command(house, work.tenant, asked))
    faults.reach("request.obeyed")
    async with work.finish() as session:
        await _answer(house, session, asked.signal, text or HANDED_ON)


def _as_command(house: House, tenant: TenantSlug, asked: Asked) -> CommandAsked:
    signal, installation = asked.signal, asked.installation
    server_key = house.registry.channels[installation.package].server_key
    assert server_key is not None, "only what can tell its people apart has a door"
    return CommandAsked(
        tenant,
        installation.id,
        installation.package,
        server_key(installation.config),
        asked.account["id"],
        asked.account["name"],
        signal.conversation_id,
        asked.text,
        f"signal:{signal.id}",
        is_direct=not asked.is_pressed,
        certain=asked.is_pressed,
        is_alone=True,
        correlation_id=signal.correlation_id,
        causation_id=signal.id,
        lane=signal.payload.get("lane"),
        position=signal.payload.get("position", 0),
    )


async def _asked(session: TenantSession, signal_id: UUID) -> Asked | None:
    """None when its retention ended, or the installation is at rest by now: then nothing comes of it."""
    signal = await get(session, Signal, signal_id)
    installation = await get(session, Installation, signal.installation_id) if signal else None
    if signal is None or installation is None or installation.state not in IN_FORCE:
        return None
    return Asked(signal, installation)


async def _private_place(pool: AdapterPool, tenant: TenantSlug, asked: Asked) -> Place:
    """Where only the person and we read. Raises Postpone while the far side is away."""
    there = asked.signal.payload["place"]
    if there["channel_kind"] == "direct":
        return Place(there["channel_id"], "direct")
    try:
        async with pool.lend(tenant, asked.installation) as adapter:
            assert isinstance(adapter, ReachesOne)
            return await adapter.direct(asked.account["id"])
    except AdapterError as error:
        raise Postpone(UNREACHABLE_WAIT_S, f"The far side is not to be reached: {error.code}.") from error


async def _hand_on(house: House, session: TenantSession, asked: Asked, place: Place) -> None:
    """The text as a message to us: whatever answers those answers it."""
    installation = asked.installation
    batch = _Requests(session, house.registry, installation.id)
    batch.signal = asked.signal
    source = Source(
        session.tenant, installation.id, installation.generation, installation.package, lambda text: text
    )
    await batch.store([(source, _as_message(asked, place))])


def _as_message(asked: Asked, place: Place) -> Inbound:
    kept, key = asked.signal.payload, f"request:{asked.signal.id}"
    author = Author(asked.account["id"], AuthorKind.PERSON, asked.account["name"])
    return Inbound(
        EventKind.MESSAGE,
        key,
        key,
        author,
        place,
        asked.text,
        int(kept["sent_at_ms"]),
        addressed=True,
        raw=b"",
        cursor=Cursor(""),
    )


class _Requests(ChatBatch):
    """Messages that follow from a request."""

    signal: Signal

    def _signal(self, source: Source, event: Inbound) -> NewSignal:
        """As of any message, and yet told which request it comes of."""
        new = super()._signal(source, event)
        return replace(new, raw=None, causation_id=self.signal.id, correlation_id=self.signal.correlation_id)


async def _answer(house: House, session: TenantSession, signal: Signal, text: str) -> None:
    """The answer is known: whoever waits at the door shows it, else the person is told alone a little later."""
    answered = NewSignal(
        doors.ANSWERED,
        {"signal_id": str(signal.id), "text": text},
        SYSTEM,
        dedupe_key=f"{doors.ANSWERED}:{signal.id}",
        causation_id=signal.id,
        correlation_id=signal.correlation_id,
        installation_id=signal.installation_id,
    )
    if not (await emit(session, house.registry, answered)).fresh:
        return
    waited_s = (clock.now() - signal.occurred_at).total_seconds()
    job = NewJob(
        TELL,
        {"signal_id": str(signal.id)},
        delay_s=max(0.0, DOOR_IS_SHUT_S - waited_s),
        unique_key=f"{TELL}:{signal.id}",
        correlation_id=signal.correlation_id,
    )
    await enqueue(session, job)


async def _tell(house: House, work: Work) -> None:
    """Say the answer to the person alone, unless a door showed it."""
    async with work.finish() as session:
        signal = await get(session, Signal, UUID(work.args["signal_id"]))
        text = await doors.answer_to(session, UUID(work.args["signal_id"]))
        asked = await _asked(session, signal.id) if signal is not None else None
        if asked is None or text is None or text == HANDED_ON:
            return
        if await doors.claim_telling(session, house.registry, asked.signal.id, "said"):
            await _say_alone(house, session, asked, text)


async def _say_alone(house: House, session: TenantSession, asked: Asked, text: str) -> None:
    signal, channel = asked.signal, house.registry.channels[asked.installation.package]
    new = NewDirective(
        channel.private,
        f"{doors.TOLD}:{signal.id}",
        {"account_id": asked.account["id"], "text": text},
        "A person is told what became of their request.",
        SYSTEM,
        installation_id=asked.installation.id,
        correlation_id=signal.correlation_id,
        causation_id=signal.id,
    )
    await request(session, house.registry, new)

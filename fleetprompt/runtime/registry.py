"""Everything that has a name: signals, handlers, directives, tools, kinds of jobs, recurring jobs.

A composition root builds one `Registry`; runtime and each connector register their names at start. The union is the
catalogue: a name that nobody registered is an error at its first use, not a signal that nobody hears.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from fleetprompt.kernel.errors import InvalidInput

if TYPE_CHECKING:
    from fleetprompt.kernel.ids import TenantSlug
    from fleetprompt.model import Conversation, Directive, Execution, Installation, Signal
    from fleetprompt.runtime.directives.types import DirectiveType
    from fleetprompt.runtime.jobs.work import Begun, Work
    from fleetprompt.runtime.tools.tool import Tool
    from fleetprompt.tenancy import TenantSession

T = TypeVar("T")
OWN_SIGNALS = "tenant.*"
"""Facts that an organization names itself, as `tenant.order.escalated`: catalogued as a family."""


@dataclass(frozen=True, slots=True)
class SignalType:
    """A catalogued fact. retention: a class of `signals.RETENTION_DAYS`."""

    name: str
    about: str
    retention: str = "standard"


@dataclass(frozen=True, slots=True)
class Handler:
    """Reacts to a signal in a transaction of its own; called again after a crash and at each replay.

    So it must derive every key it uses from the signal: then a repeat finds what is there and changes nothing.
    """

    name: str
    run: Callable[[TenantSession, Signal], Awaitable[None]]
    wants: Callable[[Mapping[str, Any]], bool] | None = None
    """Judges by the payload alone whether there is anything to do; spares the job. None = always."""


@dataclass(frozen=True, slots=True)
class JobKind:
    """How to run one kind of job, and whom to tell when it has died for good."""

    name: str
    run: Callable[[Work], Awaitable[None]]
    died: Callable[[Work, dict[str, Any], str], Awaitable[None]] | None = None
    """Called with the dead job's arguments and its last error, in a job of its own."""
    begin: Callable[[Work, TenantSession], Awaitable[Begun | None]] | None = None
    """Do the first transaction of `run` inside the one that asked for the job; None = not here, `run` it afterwards."""


@dataclass(frozen=True, slots=True)
class Recurring:
    """A job for each tenant by the clock (cron, UTC)."""

    name: str
    kind: str
    cron: str


class Speech(StrEnum):
    """What a text is to the people of a conversation: some channels let answers out alone."""

    ANSWER = "answer"
    FAILURE = "failure"
    APPROVAL = "approval"
    NOTICE = "notice"


@dataclass(frozen=True, slots=True)
class Offer:
    """Something that a person may say by pressing a button, where there are buttons. lasts_s: from the first try to post it.

    subject: the only account whose press counts; "" = everybody's, who may then be told that they have not the right.
    """

    label: str
    says: str
    style: str = ""
    lasts_s: float = 24 * 3600
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Saying:
    """A text to be said. execution_id: the run that says it. causation_id: what it follows from. key: names it once for all."""

    text: str
    speech: Speech = Speech.ANSWER
    execution_id: UUID | None = None
    causation_id: UUID | None = None
    key: str = ""
    offers: Sequence[Offer] = ()


@dataclass(frozen=True, slots=True)
class Composed:
    """What a channel makes of it: its directive's arguments, and why a person has to agree first (None = none has to)."""

    arguments: Mapping[str, Any]
    approval_reason: str | None = None
    approval_lasts_s: float = 24 * 3600


@dataclass(frozen=True, slots=True)
class Channel:
    """How an answer reaches the people of a connector's conversations: as which directive, with which arguments."""

    connector: str
    directive: str
    arguments: Callable[[Conversation, str], dict[str, Any]] | None = None
    """(conversation, text) -> the directive's arguments: anybody of the house can say something there."""
    typing: Callable[[TenantSlug, Conversation], Awaitable[None]] | None = None
    """Shows that an answer is being written; best effort."""
    compose: Callable[[TenantSession, Conversation, Saying], Awaitable[Composed | None]] | None = None
    """In place of `arguments`, where what is said depends on more than the conversation; None = nothing is said."""
    update: str = ""
    """The directive that changes what another directive posted: `directive_id`, `text`."""
    private: str = ""
    """The directive that says something to one account alone: `account_id`, `text`."""
    takes_offers: bool = False
    """Its arguments may have `offers`, each as `Offer`."""
    server_key: Callable[[Mapping[str, Any]], str] | None = None
    """(settings) -> which server's accounts write here; None = whoever writes here is nobody whom we could know."""

    def __post_init__(self) -> None:
        assert (self.arguments is None) != (self.compose is None), "one of the two makes the arguments"


@dataclass(slots=True)
class Registry:
    """The catalogue of one process."""

    signals: dict[str, SignalType] = field(default_factory=dict)
    handlers: dict[str, list[Handler]] = field(default_factory=dict)
    subscribers: list[Handler] = field(default_factory=list)
    """Handlers of whichever facts the tenant's own rows ask for (its workflows, by `signal_pattern`)."""
    directives: dict[str, DirectiveType] = field(default_factory=dict)
    tools: dict[str, Tool] = field(default_factory=dict)
    jobs: dict[str, JobKind] = field(default_factory=dict)
    recurring: dict[str, Recurring] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)
    settled: list[Callable[[TenantSession, Directive], Awaitable[None]]] = field(default_factory=list)
    """Called in the transaction in which a directive ends, however it ends."""
    finished: list[Callable[[TenantSession, Execution], Awaitable[None]]] = field(default_factory=list)
    """Called in the transaction in which an execution ends, however it ends."""
    estimate_usd: Callable[..., Decimal | None] | None = None
    """`ModelBoundary.estimate_usd`: what a model call may cost, reserved before it is made."""
    rechecks: list[Callable[[TenantSession, Directive], Awaitable[str | None]]] = field(default_factory=list)
    """Called when a directive is about to run for the first time: why it may not after all, or None."""
    commands: Callable[[TenantSession, Signal, Conversation, Installation], Awaitable[bool]] | None = None
    """Asked of each message before any agent: whether it is a command, and so no agent's."""

    def add_signal(self, name: str, about: str, *, retention: str = "standard") -> None:
        """Catalogue a fact."""
        _once(self.signals, name, SignalType(name, about, retention))

    def signal_type(self, name: str) -> SignalType | None:
        """The catalogue's entry; None for a name that nobody catalogued."""
        if name not in self.signals and name.startswith(OWN_SIGNALS[:-1]):
            return self.signals.get(OWN_SIGNALS)
        return self.signals.get(name)

    def on(self, signal_name: str, handler: Handler) -> None:
        """React to a catalogued fact."""
        if signal_name not in self.signals:
            raise InvalidInput(f"Nobody catalogued the signal {signal_name!r}.")
        listeners = self.handlers.setdefault(signal_name, [])
        assert all(other.name != handler.name for other in listeners), handler.name
        listeners.append(handler)

    def add_directive(self, kind: DirectiveType) -> None:
        """Make an intent executable."""
        _once(self.directives, kind.name, kind)

    def add_tool(self, tool: Tool) -> None:
        """Offer a tool to agents."""
        _once(self.tools, tool.name, tool)

    def add_job(self, kind: JobKind) -> None:
        """Make a kind of job runnable; kinds that nobody added stay available for a newer worker."""
        _once(self.jobs, kind.name, kind)

    def add_recurring(self, recurring: Recurring) -> None:
        """Run a kind of job by the clock."""
        assert recurring.kind in self.jobs, recurring.kind
        _once(self.recurring, recurring.name, recurring)

    def add_channel(self, channel: Channel) -> None:
        """Let agents answer in a connector's conversations."""
        assert channel.directive in self.directives, channel.directive
        _once(self.channels, channel.connector, channel)

    def find_handler(self, signal_name: str, handler_name: str) -> Handler | None:
        """None when this program no longer has it."""
        known = [*self.handlers.get(signal_name, ()), *self.subscribers]
        return next((handler for handler in known if handler.name == handler_name), None)


def _once(table: dict[str, T], name: str, value: T) -> None:
    assert name not in table, f"{name!r} is registered twice"
    table[name] = value

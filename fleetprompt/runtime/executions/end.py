"""How a run ends, in the caller's transaction: its state, its signal, and what the person reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from sqlalchemy import func

from fleetprompt.model import Conversation, Execution, Installation
from fleetprompt.model.states import ExecutionState
from fleetprompt.runtime.directives import NewDirective, request
from fleetprompt.runtime.executions.record import Run
from fleetprompt.runtime.jobs.follow import keep
from fleetprompt.runtime.moves import move
from fleetprompt.runtime.registry import Channel, Composed, Offer, Registry, Saying, Speech
from fleetprompt.runtime.signals import Actor, NewSignal, emit
from fleetprompt.tenancy import TenantSession
from fleetprompt.tenancy.rows import get


async def succeed(session: TenantSession, registry: Registry, run: Run, text: str) -> None:
    """The answer stands; the directive that posts it is requested in the same transaction."""
    execution = run.execution
    directive_id = await _reply(session, registry, run, "answer", text, Speech.ANSWER)
    await move(
        session,
        execution,
        ExecutionState.SUCCEEDED,
        output=text,
        directive_id=directive_id,
        finished_at=func.now(),
    )
    await tell(
        session, registry, run, "agent.execution.succeeded", steps=execution.steps, **_usage(execution)
    )
    await finished(session, registry, run)


async def fail(
    session: TenantSession, registry: Registry, run: Run, code: str, detail: str, sentence: str
) -> None:
    """It did not work out. detail: for the operator; sentence: the one thing that the person in the channel reads."""
    execution = run.execution
    what = f"failure:{run.execution.round}"
    directive_id = await _reply(session, registry, run, what, sentence, Speech.FAILURE)
    values = {"error_code": code, "error": detail, "directive_id": directive_id}
    await move(session, execution, ExecutionState.FAILED, finished_at=func.now(), **values)
    await tell(
        session, registry, run, "agent.execution.failed", error_code=code, error=detail, **_usage(execution)
    )
    await finished(session, registry, run)


async def finished(session: TenantSession, registry: Registry, run: Run) -> None:
    """Tell those who wait for its end, beside the move that ended it."""
    for told in registry.finished:
        await told(session, run.execution)


async def tell(session: TenantSession, registry: Registry, run: Run, name: str, **more: Any) -> None:
    """Emit a signal about this run, as its agent."""
    execution = run.execution
    payload = {
        "execution_id": str(execution.id),
        "agent_id": str(run.agent.id),
        "agent": run.agent.name,
        **more,
    }
    await emit(
        session,
        registry,
        NewSignal(
            name,
            payload,
            Actor("agent", str(run.agent.id), run.agent.name),
            correlation_id=execution.correlation_id,
            causation_id=execution.id,
            installation_id=execution.installation_id,
            conversation_id=execution.conversation_id,
        ),
    )


async def say(
    session: TenantSession,
    registry: Registry,
    conversation: Conversation,
    text: str,
    *,
    key: str,
    actor: Actor,
    summary: str,
    speech: Speech = Speech.ANSWER,
    offers: Sequence[Offer] = (),
    **links: Any,
) -> UUID | None:
    """Have a text posted in a conversation, once for each key; None if its channel takes no such text.

    offers: what people may say to it by pressing a button, where there are any.
    """
    installation = await get(session, Installation, conversation.installation_id)
    keep(session, installation)
    channel = registry.channels.get(installation.package) if installation is not None else None
    if channel is None or not text.strip():
        return None
    saying = Saying(text, speech, links.get("execution_id"), links.get("causation_id"), key, offers)
    composed = await _compose(session, channel, conversation, saying)
    if composed is None:
        return None
    new = NewDirective(
        channel.directive,
        key,
        composed.arguments,
        summary,
        actor,
        installation_id=conversation.installation_id,
        conversation_id=conversation.id,
        approval_reason=composed.approval_reason,
        approval_lasts_s=composed.approval_lasts_s,
        **links,
    )
    return (await request(session, registry, new)).id


async def _compose(
    session: TenantSession, channel: Channel, conversation: Conversation, saying: Saying
) -> Composed | None:
    if channel.compose is not None:
        return await channel.compose(session, conversation, saying)
    assert channel.arguments is not None
    offers = [asdict(offer) for offer in saying.offers] if channel.takes_offers else []
    return Composed(channel.arguments(conversation, saying.text) | ({"offers": offers} if offers else {}))


async def _reply(
    session: TenantSession, registry: Registry, run: Run, what: str, text: str, speech: Speech
) -> UUID | None:
    if run.conversation is None:
        return None
    execution = run.execution
    return await say(
        session,
        registry,
        run.conversation,
        text,
        key=f"execution:{execution.id}:{what}",
        actor=Actor("agent", str(run.agent.id), run.agent.name),
        summary=f"{run.agent.name} answers {execution.input.get('person_name') or 'a request'}.",
        speech=speech,
        correlation_id=execution.correlation_id,
        causation_id=execution.id,
        execution_id=execution.id,
        lane=execution.lane,
        position=execution.position,
    )


def _usage(execution: Execution) -> dict[str, Any]:
    cost = None if execution.cost_usd is None else str(execution.cost_usd)
    return {
        "input_tokens": execution.input_tokens,
        "output_tokens": execution.output_tokens,
        "cost_usd": cost,
    }

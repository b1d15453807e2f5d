"""Scenes of a directive's life that can be cut off anywhere and played again from where they stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select

from fleetprompt.kernel.ids import DirectiveId
from fleetprompt.model import Directive, Effect
from fleetprompt.model.states import DirectiveState, EffectState
from fleetprompt.runtime.directives import decide, end
from fleetprompt.runtime.registry import Registry
from fleetprompt.tenancy import TenantSession
from tests.directives import PERSON, FarSide, ask, registry_for, run_out
from tests.house import ACME, House

ROUNDS = 6
TERMINAL = (DirectiveState.SUCCEEDED, DirectiveState.CANCELED, DirectiveState.FAILED)


@dataclass(frozen=True, slots=True)
class Scene:
    """How the far side behaves, what a person decides, and how it ends. effects: how many happen outside."""

    acts: Sequence[str] = ("ok",)
    looks: Sequence[str] = ("truth",)
    parts: int = 1
    asks: bool = False
    decisions: Mapping[DirectiveState, str] = field(default_factory=dict)
    tampers: bool = False
    ends: str = DirectiveState.SUCCEEDED
    effects: int = 1


RESOLVE = {DirectiveState.OUTCOME_UNKNOWN: "resolve"}
APPROVE = {DirectiveState.AWAITING_APPROVAL: "approve"}
SCENES = {
    "plain": Scene(parts=2, effects=2),
    "busy": Scene(acts=("retry", "ok")),
    "refused": Scene(acts=("refuse", "ok"), decisions={DirectiveState.FAILED: "retry"}),
    "found": Scene(acts=("lost",)),
    "absent": Scene(acts=("silent", "busy", "ok")),
    "seen": Scene(acts=("lost",), looks=("unclear",), decisions=RESOLVE),
    "vanished": Scene(acts=("silent", "ok"), looks=("unclear",) * 6 + ("truth",), decisions=RESOLVE),
    "approved": Scene(asks=True, decisions=APPROVE),
    "rejected": Scene(
        asks=True,
        decisions={DirectiveState.AWAITING_APPROVAL: "reject"},
        ends=DirectiveState.CANCELED,
        effects=0,
    ),
    "canceled": Scene(
        decisions={DirectiveState.REQUESTED: "cancel"}, ends=DirectiveState.CANCELED, effects=0
    ),
    "returned": Scene(decisions={DirectiveState.SUCCEEDED: "come_back"}, ends=DirectiveState.FAILED),
    "void": Scene(asks=True, decisions=APPROVE, tampers=True, ends=DirectiveState.FAILED, effects=0),
}

MOVES: dict[str, list[tuple[str, str, str]]] = {
    "plain": [
        ("directive", "requested", "running"),
        ("directive", "running", "succeeded"),
        ("effect", "planned", "sending"),
        ("effect", "sending", "sent"),
    ],
    "busy": [("directive", "running", "requested"), ("effect", "sending", "planned")],
    "refused": [
        ("directive", "running", "failed"),
        ("directive", "failed", "requested"),
        ("effect", "sending", "failed"),
        ("effect", "failed", "planned"),
    ],
    "seen": [
        ("directive", "running", "outcome_unknown"),
        ("directive", "outcome_unknown", "succeeded"),
        ("effect", "sending", "unknown"),
        ("effect", "unknown", "sent"),
    ],
    "vanished": [("directive", "outcome_unknown", "requested"), ("effect", "unknown", "planned")],
    "approved": [("directive", "awaiting_approval", "requested")],
    "rejected": [("directive", "awaiting_approval", "canceled")],
    "canceled": [("directive", "requested", "canceled")],
    "returned": [("directive", "succeeded", "failed"), ("effect", "sent", "failed")],
    "void": [("directive", "requested", "failed")],
}
"""scene -> the moves that are made in it."""


async def play(house: House, name: str, ledger: Path) -> None:
    """To the end. Whoever plays it again after a death finds what was done, and does the rest."""
    scene, far = SCENES[name], FarSide(ledger, SCENES[name].acts, SCENES[name].looks)
    registry = registry_for(far)
    texts = [str(part) for part in range(scene.parts)]
    reason = "A person has to agree." if scene.asks else None
    asked = await ask(house, registry, name, arguments={"texts": texts}, approval_reason=reason)
    for _ in range(ROUNDS):
        await _decide(house, registry, scene, asked.id, far)
        await run_out(house, registry)


async def _decide(
    house: House, registry: Registry, scene: Scene, directive_id: DirectiveId, far: FarSide
) -> None:
    async with house.tenancy.session(ACME) as session:
        directive = await session.get_one(Directive, directive_id)
        match scene.decisions.get(DirectiveState(directive.state)):
            case "approve":
                await decide.approve(session, registry, directive_id, PERSON)
                if scene.tampers:
                    directive.arguments = {"texts": ["another"]}
                    await session.flush()
            case "reject":
                await decide.reject(session, registry, directive_id, PERSON, "no")
            case "come_back":
                await end.come_back(session, registry, directive, "bounced", "It came back.")
            case "cancel":
                await decide.cancel(session, registry, directive_id, PERSON)
            case "retry":
                await decide.retry(session, registry, directive_id, PERSON)
            case "resolve":
                await decide.resolve(
                    session, registry, directive_id, PERSON, sent=await _is_there(session, far)
                )


async def _is_there(session: TenantSession, far: FarSide) -> bool:
    """What a person sees who goes and looks."""
    unknown = await session.scalars(select(Effect).where(Effect.state == EffectState.UNKNOWN))
    return all(effect.key in far.done() for effect in unknown)

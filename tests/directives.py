"""A far side that follows a script, and the directives sent to it.

What happened there is a file, one line each, so that it outlives kill -9 of the process that did it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog
from pydantic import BaseModel

from fleetprompt.kernel.ids import DirectiveId
from fleetprompt.model import Directive
from fleetprompt.runtime.directives import (
    Absent,
    Delivered,
    DirectiveType,
    EffectTry,
    NewDirective,
    Outcome,
    Refused,
    Requested,
    RetryIn,
    Unclear,
    request,
)
from fleetprompt.runtime.directives.register import register
from fleetprompt.runtime.jobs import claim
from fleetprompt.runtime.jobs.run import run_job
from fleetprompt.runtime.register import _death_kind
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import Actor
from fleetprompt.tenancy import TenantSession
from tests.house import ACME, House

AGENT = Actor("agent", "a1", "Fleet")
PERSON = Actor("human", "u1", "Ada")
POST = "far.post.create"


class FarSide:
    """An effector. acts: what the tries of a part do, the last one for ever; looks: the same for look-ups.

    acts: ok (done, answered), lost (done, no answer), silent (not done, no answer), gone (the same, and nobody can be
    asked), retry, busy (a forgiven retry), refuse, raise (done, then an exception).
    looks: truth (what the file says), unclear, busy (ask again). parts: acts of single parts.
    """

    def __init__(
        self, ledger: Path, acts: Sequence[str] = ("ok",), looks: Sequence[str] = ("truth",)
    ) -> None:
        self.ledger = ledger
        self.acts = acts
        self.looks = looks
        self.parts: dict[int, Sequence[str]] = {}

    async def plan(self, session: TenantSession, directive: Directive) -> Sequence[dict[str, Any]]:
        return [{"text": text} for text in directive.arguments["texts"]]

    async def perform(self, effect: EffectTry) -> Outcome:
        act = self._next(self.parts.get(effect.part, self.acts), "try", effect)
        if act in ("ok", "lost", "raise"):
            self._write("done", effect)
        if act == "raise":
            raise RuntimeError("the effector broke its promise")
        return _OUTCOMES.get(act) or Delivered({"id": effect.key})

    async def look_up(self, effect: EffectTry) -> Delivered | Absent | RetryIn | Unclear:
        match self._next(self.looks, "look", effect):
            case "truth":
                return Delivered({"id": effect.key}) if effect.key in self.done() else Absent()
            case "busy":
                return RetryIn(0.0, "busy", "The far side is busy.")
            case _:
                return Unclear("The far side cannot say.")

    def done(self) -> list[str]:
        """The key of each effect that happened, as often as it happened."""
        return self._lines("done")

    def tries(self, verb: str = "try") -> int:
        """How often it was tried, or looked up."""
        return len(self._lines(verb))

    def _next(self, script: Sequence[str], verb: str, effect: EffectTry) -> str:
        before = self._lines(verb).count(effect.key)
        self._write(verb, effect)
        return script[min(before, len(script) - 1)]

    def _lines(self, verb: str) -> list[str]:
        if not self.ledger.exists():
            return []
        lines = [line.split() for line in self.ledger.read_text().splitlines()]
        return [line[1] for line in lines if line[0] == verb]

    def _write(self, verb: str, effect: EffectTry) -> None:
        file = os.open(self.ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(file, f"{verb} {effect.key}\n".encode())
        os.close(file)


_OUTCOMES: Mapping[str, Outcome] = {
    "lost": Unclear("No answer came."),
    "silent": Unclear("No answer came."),
    "gone": Unclear("Nobody answers.", unreachable=True),
    "retry": RetryIn(None, "trouble", "It did not work."),
    "busy": RetryIn(0.0, "rate_limited", "Too many requests.", forgiven=True),
    "refuse": Refused("forbidden", "You may not."),
}


class Arguments(BaseModel):
    """texts: one effect each."""

    texts: list[str] = ["hello"]
    number: float = 0


def registry_for(far: FarSide, **values: Any) -> Registry:
    """A registry that knows the far side's directive, and the kinds of jobs that leave marks."""
    registry = Registry()
    registry.add_signal("job.died", "A job was given up.")
    registry.add_job(_death_kind(registry))
    register(registry)
    registry.add_directive(DirectiveType(POST, "A test's effect.", Arguments, far, **values))
    return registry


async def ask(house: House, registry: Registry, key: str = "k1", **values: Any) -> Requested:
    """Request the directive in a transaction of its own."""
    arguments = values.pop("arguments", {})
    new = NewDirective(POST, key, arguments, "Because of a test.", AGENT, **values)
    async with house.tenancy.session(ACME) as session:
        return await request(session, registry, new)


async def run_once(house: House, registry: Registry, worker: str = "w") -> str | None:
    """Let the time of the next job come, and run it; its outcome, None if there is none."""
    await house.rows("update public.job set scheduled_at = now() where state = 'available'")
    jobs = await claim.claim(house.database, worker, list(registry.jobs), 1, 30.0)
    with structlog.testing.capture_logs():  # failures are meant here, and their traces cost most of the time
        return await run_job(house.tenancy, registry.jobs, worker, jobs[0]) if jobs else None


async def run_out(house: House, registry: Registry) -> list[str]:
    """Run whatever there is to run, as time goes by; the outcomes."""
    outcomes: list[str] = []
    while (outcome := await run_once(house, registry)) is not None:
        outcomes.append(outcome)
        assert len(outcomes) < 200, "it never ends"
    return outcomes


async def the_directive(house: House, directive_id: DirectiveId | None = None) -> dict[str, Any]:
    """Its row."""
    where = "" if directive_id is None else f"where id = '{directive_id}'"
    [row] = await house.tenant_rows(ACME, f"select * from directives {where}")
    return dict(row)


async def effects(house: House) -> list[str]:
    """The states of all effects, in order."""
    rows = await house.tenant_rows(ACME, "select state from effects order by directive_id, part")
    return [row[0] for row in rows]


async def signals(house: House) -> list[str]:
    """The names of all signals, in order, without their room."""
    rows = await house.tenant_rows(ACME, "select name from signals order by id")
    return [row[0].removeprefix("directive.") for row in rows]

"""What a workflow is made of: JSON that is checked when it is added, and never anything that runs.

{"name": "late-orders", "on": "chat.message.received",
 "when": {"signal.payload.place.channel_name": "support", "signal.payload.text": {"contains": "late"}},
 "steps": [
   {"name": "think", "agent": "fleet", "input": "Sum this up: {{signal.payload.text}}"},
   {"name": "rest", "wait": 60},
   {"name": "post", "directive": "orders.note", "params": {"text": "{{steps.think.result.text}}"}},
   {"name": "tell", "emit": "tenant.order.noted", "payload": {"by": "{{signal.actor_name}}"}}]}
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from fleetprompt.kernel.errors import InvalidInput
from fleetprompt.kernel.json import canonical, clean
from fleetprompt.kernel.names import checked_name
from fleetprompt.runtime.workflows.conditions import Condition
from fleetprompt.runtime.workflows.templates import STEP_NAME

MAX_BYTES: Final = 65_536
MAX_STEPS: Final = 50
MAX_WAIT_S: Final = 30 * 24 * 3600
PATTERN: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*(\.\*)?", re.ASCII)
OWN_SIGNAL: Final = re.compile(r"tenant(\.[a-z][a-z0-9_]*)+", re.ASCII)
KINDS: Final = {
    "directive": frozenset({"directive", "params", "installation", "approval"}),
    "agent": frozenset({"agent", "input"}),
    "wait": frozenset({"wait"}),
    "emit": frozenset({"emit", "payload"}),
}
"""kind -> the keys that a step of this kind may have beside `name` and `when`; the kind is one of them."""
NEEDED: Final = {"agent": "input"}


class Step(BaseModel):
    """One step. wait: seconds. installation: `package`, or `package:name`; without it the signal's own."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str
    when: dict[str, Condition] = {}
    directive: str | None = Field(default=None, max_length=200)
    params: dict[str, Any] = {}
    installation: str | None = Field(default=None, min_length=1, max_length=200)
    approval: Literal["ask", "auto"] = "auto"
    agent: str | None = Field(default=None, max_length=200)
    input: str = Field(default="", max_length=20_000)
    wait: float | None = Field(default=None, gt=0, le=MAX_WAIT_S)
    emit: str | None = Field(default=None, max_length=200)
    payload: dict[str, Any] = {}

    @field_validator("name")
    @classmethod
    def _is_named(cls, value: str) -> str:
        if re.fullmatch(STEP_NAME, value, re.ASCII) is None:
            raise ValueError("a step's name is a small letter, then up to 39 small letters, digits and _")
        return value

    @field_validator("emit")
    @classmethod
    def _is_own(cls, value: str | None) -> str | None:
        if value is not None and OWN_SIGNAL.fullmatch(value) is None:
            raise ValueError(
                "a workflow's own signal is called tenant.something, in small letters, digits, _ and ."
            )
        return value

    @model_validator(mode="after")
    def _does_one_thing(self) -> Step:
        given = self.model_fields_set - {"name", "when"}
        kinds = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(kinds) != 1:
            raise ValueError(f"a step has exactly one of {', '.join(KINDS)}")
        foreign = sorted(given - KINDS[kinds[0]])
        if foreign:
            raise ValueError(f"{', '.join(foreign)} means nothing in a step with {kinds[0]}")
        needed = NEEDED.get(kinds[0])
        if needed is not None and not getattr(self, needed).strip():
            raise ValueError(f"a step with {kinds[0]} has {needed} too")
        return self

    @property
    def kind(self) -> str:
        """directive, agent, wait or emit."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)


class Definition(BaseModel):
    """A workflow. version: counted by FleetPrompt; who gives one says which it must become."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str
    version: int | None = Field(default=None, ge=1)
    on: str
    when: dict[str, Condition] = {}
    steps: list[Step] = Field(min_length=1, max_length=MAX_STEPS)

    @field_validator("name")
    @classmethod
    def _is_named(cls, value: str) -> str:
        try:
            return checked_name(value, "A workflow's name")
        except InvalidInput as error:
            raise ValueError(str(error).rstrip(".")) from error

    @field_validator("on")
    @classmethod
    def _is_pattern(cls, value: str) -> str:
        if PATTERN.fullmatch(value) is None:
            raise ValueError("write a signal's name, as chat.message.received, or all below one, as chat.*")
        return value

    @field_validator("steps")
    @classmethod
    def _are_told_apart(cls, value: list[Step]) -> list[Step]:
        names = [step.name for step in value]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two steps are called {twice}")
        return value

    def stored(self) -> dict[str, Any]:
        """As the database holds it: what was given, but its version."""
        return self.model_dump(mode="json", exclude_unset=True, exclude={"version"})

    def digest(self) -> str:
        """The same for the same content."""
        return hashlib.sha256(canonical(self.stored()).encode()).hexdigest()


def parse(given: bytes) -> Definition:
    """Read JSON. Raises InvalidInput, which says where the fault is, as `steps[1].wait`."""
    if len(given) > MAX_BYTES:
        raise InvalidInput(f"A workflow has at most {MAX_BYTES} bytes.", "Make two of it.")
    try:
        value = json.loads(given.decode("utf-8"), parse_constant=_refuse, object_pairs_hook=_no_key_twice)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InvalidInput(f"This is no JSON at {place}: {error.msg}.", "Mend it there.") from error
    except (ValueError, RecursionError) as error:
        said = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise InvalidInput(f"This is no JSON that can be used: {said}.", "Mend it.") from error
    return read(value)


def read(value: Any) -> Definition:
    """The same for JSON that was read already."""
    try:
        return Definition.model_validate(clean(value))
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        said = str(fault["msg"]).removeprefix("Value error, ")
        raise InvalidInput(
            f"{place_of(fault['loc'])}: {said}.", "Mend it there; nothing was changed."
        ) from error


def place_of(loc: Iterable[int | str]) -> str:
    """`steps[1].params.text`."""
    place = ""
    for part in loc:
        place += f"[{part}]" if isinstance(part, int) else f".{part}"
    return place.lstrip(".") or "the workflow"


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _no_key_twice(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(
            f"the key {next(name for name in names if names.count(name) > 1)[:60]!r} stands twice"
        )
    return found

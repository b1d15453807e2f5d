"""A tool is declared once: its arguments as a Pydantic model, what it changes, and the scope it needs.

One that only reads has `run`. One with a side effect has `directive` instead: the name of the directive that its
arguments become, so that no tool changes anything except through a directive.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from fleetprompt.accounts import Role
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.runtime.llm.types import Example, ToolSpec

RESULT_CHARS = 8_000  # what a model is given of one result


class SideEffect(StrEnum):
    """What a call changes in the world."""

    NONE = "none"
    REVERSIBLE = "reversible"
    IRREVERSIBLE = "irreversible"


@dataclass(frozen=True, slots=True)
class ToolContext:
    """For whom, and in which run, a tool is called."""

    tenant: TenantSlug
    execution_id: UUID
    conversation_id: UUID | None
    installation_id: UUID | None
    person_id: str


class ToolFailure(Exception):
    """The tool could not do it. Its text goes to the model, and through it to people: no secret, no internals."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One capability. scope: what it needs to be granted, as packages declare it and admins consent to it. taints: its results may carry text of third parties, which may try to give instructions. initiator: the least role of whoever asks; None = anyone may."""

    name: str
    description: str
    arguments: type[BaseModel]
    scope: str
    side_effect: SideEffect = SideEffect.NONE
    run: Callable[[ToolContext, Any], Awaitable[Any]] | None = None
    directive: str | None = None
    examples: tuple[Example, ...] = ()
    taints: bool = True
    timeout_s: float = 20.0
    initiator: Role | None = None
    _spec: ToolSpec | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        reads = self.side_effect is SideEffect.NONE
        assert reads == (self.run is not None) == (self.directive is None), self.name

    def spec(self) -> ToolSpec:
        """As a model sees it; the same object each time, so that what is made of it can be kept."""
        if self._spec is None:
            schema = self.arguments.model_json_schema()
            changes = self.side_effect is not SideEffect.NONE
            made = ToolSpec(self.name, self.description, schema, changes, self.examples)
            object.__setattr__(self, "_spec", made)
        assert self._spec is not None
        return self._spec

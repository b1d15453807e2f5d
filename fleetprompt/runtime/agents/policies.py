"""What an agent may do without asking, for whom, and what it listens to. Strict: a misspelt policy is refused, never ignored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from fleetprompt.accounts import Role

Initiator = Literal["anyone", "member", "admin", "owner"]


class Policies(BaseModel):
    """approval: tool name, or "*" for all, to `ask` (a person has to agree) or `auto`. initiators: the same, to the
    least role of the linked person who asks (`anyone`: no link is needed). asked_by: the least role to have the agent
    answer at all. follow_threads: None = as the installation says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    approval: dict[str, Literal["ask", "auto"]] = Field(default_factory=dict)
    initiators: dict[str, Initiator] = Field(default_factory=dict)
    asked_by: Initiator = "anyone"
    follow_threads: StrictBool | None = None

    def initiator_of(self, tool: str) -> Role | None:
        """The least role for this tool; None = anyone."""
        return _role(self.initiators.get(tool, self.initiators.get("*", "anyone")))

    @property
    def asker(self) -> Role | None:
        """The least role of whoever it answers; None = anyone."""
        return _role(self.asked_by)

    def approval_of(self, tool: str) -> Literal["ask", "auto"] | None:
        """What is said of this tool, else of all; None = nothing is said."""
        return self.approval.get(tool, self.approval.get("*"))


def _role(wish: Initiator) -> Role | None:
    return None if wish == "anyone" else Role(wish)


def read_policies(stored: Mapping[str, Any]) -> Policies:
    """An agent's policies as stored; one that this program cannot read asks for everything."""
    try:
        return Policies.model_validate(dict(stored))
    except ValidationError:
        return Policies(approval={"*": "ask"})

"""What an agent may do without asking, and what it listens to. Strict: a misspelt policy is refused, never ignored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError


class Policies(BaseModel):
    """approval: tool name, or "*" for all, to `ask` (a person has to agree) or `auto`. follow_threads: None = as the
    installation says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    approval: dict[str, Literal["ask", "auto"]] = Field(default_factory=dict)
    follow_threads: StrictBool | None = None

    def approval_of(self, tool: str) -> Literal["ask", "auto"] | None:
        """What is said of this tool, else of all; None = nothing is said."""
        return self.approval.get(tool, self.approval.get("*"))


def read_policies(stored: Mapping[str, Any]) -> Policies:
    """An agent's policies as stored; one that this program cannot read asks for everything."""
    try:
        return Policies.model_validate(dict(stored))
    except ValidationError:
        return Policies(approval={"*": "ask"})

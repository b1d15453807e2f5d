"""Conditions: what stands at each of some paths is equal to a value, or contains one. All have to hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from fleetprompt.runtime.workflows.templates import Context, Missing, look_up, parse_path

Scalar = str | int | float | bool | None


class Condition(BaseModel):
    """Of one path. In JSON `{"equals": 5}` or `{"contains": "refund"}`; a bare value means equals."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    equals: Scalar = None
    contains: str | int | float | bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _spelt_out(cls, value: Any) -> Any:
        if isinstance(value, list):
            raise ValueError('a list is no condition; write {"contains": ...} or a plain value')
        return value if isinstance(value, Mapping) else {"equals": value}

    @model_validator(mode="after")
    def _says_one_thing(self) -> Condition:
        if len(self.model_fields_set) != 1:
            raise ValueError("write exactly one of equals and contains")
        return self

    def holds(self, value: Any) -> bool:
        """Whether a value is as it has to be."""
        if "equals" in self.model_fields_set:
            return _same(value, self.equals)
        if isinstance(value, str):
            return isinstance(self.contains, str) and self.contains in value
        return isinstance(value, list) and any(_same(item, self.contains) for item in value)


When = Mapping[str, Condition]
"""path -> what has to hold there"""


def all_hold(when: When, context: Context) -> bool:
    """Whether all conditions hold; where there is nothing at a path, its condition does not."""
    return all(_holds(path, condition, context) for path, condition in when.items())


def _holds(path: str, condition: Condition, context: Context) -> bool:
    try:
        return condition.holds(look_up(parse_path(path), context))
    except Missing:
        return False


def _same(value: Any, wanted: Scalar) -> bool:
    """JSON's equality: true is not 1."""
    return isinstance(value, bool) == isinstance(wanted, bool) and bool(value == wanted)

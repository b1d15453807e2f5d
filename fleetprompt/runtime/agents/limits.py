"""What one run, one person and one day may cost."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class Limits(BaseModel):
    """An agent's limits; what is not set has these defaults. Money in US dollars, time without waiting for people."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_steps: int = Field(default=8, ge=1, le=100)
    max_tokens: int = Field(default=100_000, ge=1)
    max_cost_usd: Decimal = Field(default=Decimal("0.50"), ge=0)
    max_seconds: int = Field(default=300, ge=1)
    max_output_tokens: int = Field(default=2048, ge=1)
    call_timeout_s: float = Field(default=60.0, gt=0)
    cost_usd_per_day: Decimal = Field(default=Decimal("20"), ge=0)
    runs_per_person_per_hour: int = Field(default=120, ge=1)
    context_messages: int = Field(default=40, ge=1, le=1000)
    context_chars: int = Field(default=24_000, ge=100)

    @classmethod
    def stored(cls, values: Mapping[str, Any]) -> Self:
        """As the database holds them, perhaps by another version's hand: what is no limit here has its default."""
        known = {name: value for name, value in values.items() if name in cls.model_fields}
        try:
            return cls.model_validate(known)
        except ValidationError as error:
            wrong = {fault["loc"][0] for fault in error.errors()}
            return cls.model_validate({name: value for name, value in known.items() if name not in wrong})

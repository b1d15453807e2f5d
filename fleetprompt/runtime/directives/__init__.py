"""Directives: controlled, audited, idempotent intents."""

from fleetprompt.runtime.directives.request import Requested, request
from fleetprompt.runtime.directives.types import (
    Absent,
    Delivered,
    DirectiveType,
    Effector,
    EffectTry,
    NewDirective,
    Outcome,
    Refused,
    RetryIn,
    Unclear,
)

__all__ = [
    "Absent",
    "Delivered",
    "DirectiveType",
    "EffectTry",
    "Effector",
    "NewDirective",
    "Outcome",
    "Refused",
    "Requested",
    "RetryIn",
    "Unclear",
    "request",
]

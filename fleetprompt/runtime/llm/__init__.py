"""The model boundary: `ModelBoundary.respond` makes one call, `policy.decide` says what follows a failure."""

from __future__ import annotations

from .boundary import ModelBoundary
from .names import ModelName, parse_model
from .policy import Decision, FallBack, GiveUp, Limit, RetryIn, ShortenContext, decide, sentence
from .types import (
    BUILTIN,
    AssistantActs,
    AssistantSays,
    Endpoint,
    Example,
    FailureKind,
    Message,
    ModelFailure,
    ModelReply,
    ModelRequest,
    PersonSays,
    SystemNote,
    ToolCall,
    ToolReturned,
    ToolSpec,
    Usage,
    reply_from_raw,
)

__all__ = [
    "BUILTIN",
    "AssistantActs",
    "AssistantSays",
    "Decision",
    "Endpoint",
    "Example",
    "FailureKind",
    "FallBack",
    "GiveUp",
    "Limit",
    "Message",
    "ModelBoundary",
    "ModelFailure",
    "ModelName",
    "ModelReply",
    "ModelRequest",
    "PersonSays",
    "RetryIn",
    "ShortenContext",
    "SystemNote",
    "ToolCall",
    "ToolReturned",
    "ToolSpec",
    "Usage",
    "decide",
    "parse_model",
    "reply_from_raw",
    "sentence",
]

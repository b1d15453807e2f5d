"""Structured logs on stderr: JSON lines for machines, colours for a terminal. The libraries' logs take the same way."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, Final, TextIO

import structlog

from fleetprompt.kernel.errors import FleetPromptError
from fleetprompt.telemetry.redact import redact_mapping, scrub

QUIET: Final = (
    "aiohttp", "alembic", "anthropic", "asyncio", "httpcore", "httpcore2", "httpx", "httpx2", "litestar", "openai", "opentelemetry",
    "sqlalchemy", "taskiq", "urllib3", "uvicorn", "websockets",
)  # fmt: skip
OURS: Final = (
    "fleetprompt.",
    "adapters.",
    "webhooks.",
)  # their errors carry neither bodies nor secrets, by our rules
CONTEXT: Final = ("org", "execution_id", "correlation_id", "installation_id")

EventDict = MutableMapping[str, Any]


def configure_logging(
    level: str = "INFO", log_format: str | None = None, stream: TextIO | None = None
) -> None:
    """Set up structlog and the standard library's logging; calling it again replaces the earlier set-up.

    Args: log_format: "json" or "console"; None = console on a terminal, JSON lines elsewhere.
    """
    stream = stream or sys.stderr
    as_json = log_format == "json" or (log_format is None and not stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(as_json, stream.isatty()))
    root = logging.getLogger()
    for earlier in [h for h in root.handlers if getattr(h, "is_fleetprompt", False)]:
        root.removeHandler(earlier)
    handler.is_fleetprompt = True  # type: ignore[attr-defined]
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger: `log.info("directive succeeded", directive_id=...)`."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


@contextmanager
def bound(**ids: object) -> Iterator[None]:
    """Everything logged inside carries these: org, execution_id, correlation_id, installation_id. None is left out."""
    unknown = ids.keys() - set(CONTEXT)
    assert not unknown, f"not log context: {unknown}"
    with structlog.contextvars.bound_contextvars(
        **{name: str(value) for name, value in ids.items() if value is not None}
    ):
        yield


def _shared() -> list[Any]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        describe_exception,
        redact_event,
    ]


def _formatter(as_json: bool, colours: bool) -> logging.Formatter:
    if as_json:
        renderer: Any = structlog.processors.JSONRenderer(default=str, ensure_ascii=False)
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=colours)
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[without_foreign_words, *_shared()],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )


def describe_exception(_: Any, __: str, event: EventDict) -> EventDict:
    """Turn exc_info into class, words and place. The words of foreign errors may quote a body, so they are left out."""
    error = _raised(event.pop("exc_info", None))
    if error is None:
        return event
    event["error_class"] = type(error).__name__
    words = safe_words(error)
    if words:
        event["error"] = words
    event["traceback"] = "".join(traceback.format_tb(error.__traceback__)[-12:])
    causes = []
    while (
        cause := error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    ) is not None:
        causes.append(f"{type(cause).__name__}: {safe_words(cause)}".removesuffix(": "))
        error = cause
    if causes:
        event["caused_by"] = causes[:5]
    return event


def without_foreign_words(_: Any, __: str, event: EventDict) -> EventDict:
    """A library's line keeps its own words, without those of the error it reports (which describe_exception judges)."""
    words = str(event["event"])
    if event["_record"].name == "asyncio":
        words = words.partition("\n")[0]  # what follows is the repr of a task, and of its exception
    error = _raised(event.get("exc_info"))
    if error is not None and str(error) and not safe_words(error):
        words = words.replace(repr(error), type(error).__name__).replace(str(error), type(error).__name__)
    event["event"] = words
    return event


def safe_words(error: BaseException) -> str:
    """What an error says, if it is ours or the operating system's."""
    ours = isinstance(error, FleetPromptError | OSError) or f"{type(error).__module__}.".startswith(OURS)
    return scrub(str(error)) if ours else ""


def _raised(given: Any) -> BaseException | None:
    if isinstance(given, BaseException):
        return given
    if isinstance(given, tuple):
        return given[1] if len(given) > 1 else None
    return sys.exc_info()[1] if given else None


def redact_event(_: Any, __: str, event: EventDict) -> EventDict:
    """Every value but structlog's own is judged; the event's name is a sentence of ours or a library's."""
    own = {key: event[key] for key in ("_record", "_from_structlog") if key in event}
    rest = {key: value for key, value in event.items() if key not in own}
    return {**redact_mapping(rest), **own}

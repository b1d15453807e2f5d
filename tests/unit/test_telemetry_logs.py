"""The log lines themselves, as written."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fleetprompt.kernel.errors import Unavailable
from fleetprompt.telemetry import bound, configure_logging, event, get_logger
from fleetprompt.telemetry.events import AGENT_EXECUTION_FAILED, NAMES, ORG_SELECT

PRIVATE = "zebra crossing at dawn"

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Configure JSON logging into a buffer; call the result to read what was logged."""
    stream = io.StringIO()
    before = logging.getLogger().level
    configure_logging("INFO", "json", stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    for handler in [h for h in logging.getLogger().handlers if getattr(h, "is_fleetprompt", False)]:
        logging.getLogger().removeHandler(handler)
    logging.getLogger().setLevel(before)


def test_a_line_is_one_json_object_with_name_level_and_time(lines: Lines) -> None:
    get_logger("fleetprompt.jobs").info("job done", kind="deliver")
    (line,) = lines()
    assert (line["event"], line["level"], line["logger"], line["kind"]) == (
        "job done",
        "info",
        "fleetprompt.jobs",
        "deliver",
    )
    assert line["timestamp"].endswith("Z")


def test_what_is_bound_is_on_every_line_inside_and_on_none_after(lines: Lines) -> None:
    with bound(org="acme", execution_id=7, correlation_id=None):
        get_logger("fleetprompt.a").info("inside")
        logging.getLogger("fleetprompt.b").warning("inside too")
    get_logger("fleetprompt.a").info("after")
    first, second, third = lines()
    assert (first["org"], first["execution_id"]) == (second["org"], second["execution_id"]) == ("acme", "7")
    assert "correlation_id" not in first
    assert "org" not in third


def test_only_known_context_can_be_bound() -> None:
    with pytest.raises(AssertionError, match="log context"), bound(body=PRIVATE):
        pass


def test_bodies_and_secrets_are_redacted_on_the_way_out(lines: Lines) -> None:
    get_logger("fleetprompt.a").info(
        "posted", message=PRIVATE, props={"deep": [{"token": "abc"}]}, post_id="p1"
    )
    (line,) = lines()
    assert line["post_id"] == "p1"
    assert PRIVATE not in json.dumps(line)
    assert "abc" not in json.dumps(line["props"])


def test_the_words_of_a_foreign_error_stay_out_and_its_class_goes_in(lines: Lines) -> None:
    try:
        raise ValueError(PRIVATE)
    except ValueError:
        get_logger("fleetprompt.a").exception("job failed")
    (line,) = lines()
    assert line["error_class"] == "ValueError"
    assert "test_telemetry_logs.py" in line["traceback"]
    assert PRIVATE not in json.dumps(line).replace("raise ValueError(PRIVATE)", "")


def test_the_words_of_our_own_errors_and_their_cause_are_shown(lines: Lines) -> None:
    try:
        try:
            raise KeyError(PRIVATE)
        except KeyError as cause:
            raise Unavailable("Postgres is away.", "Start it.") from cause
    except Unavailable:
        get_logger("fleetprompt.a").exception("not ready")
    (line,) = lines()
    assert line["error"] == "Postgres is away. Start it."
    assert line["caused_by"] == ["KeyError"]
    assert PRIVATE not in json.dumps(line)


def test_a_librarys_line_loses_the_words_of_the_error_it_quotes(lines: Lines) -> None:
    try:
        raise ValueError(PRIVATE)
    except ValueError as error:
        logging.getLogger("taskiq.receiver").error(
            "Exception found while executing function: %s", error, exc_info=True
        )
    (line,) = lines()
    assert line["event"] == "Exception found while executing function: ValueError"
    assert PRIVATE not in json.dumps(line)


def test_asyncio_does_not_print_the_exception_of_a_lost_task(lines: Lines) -> None:
    logging.getLogger("asyncio").error(
        "Task exception was never retrieved\nfuture: <Task exception=ValueError(%r)>", PRIVATE
    )
    assert lines()[0]["event"] == "Task exception was never retrieved"


@pytest.mark.parametrize(
    "library",
    ["taskiq", "litestar", "uvicorn.error", "websockets.client", "httpx2", "sqlalchemy.engine.Engine"],
)
def test_libraries_speak_from_warning_on(lines: Lines, library: str) -> None:
    logging.getLogger(library).info("chatter %s", PRIVATE)
    logging.getLogger(library).warning("trouble")
    assert [line["event"] for line in lines()] == ["trouble"]


def test_configuring_twice_does_not_log_twice(lines: Lines) -> None:
    other = io.StringIO()
    configure_logging("INFO", "json", other)
    get_logger("fleetprompt.a").info("once")
    assert lines() == []
    assert len(other.getvalue().splitlines()) == 1


def test_the_console_form_is_for_people_and_keeps_secrets_too() -> None:
    stream = io.StringIO()
    configure_logging("INFO", "console", stream)
    get_logger("fleetprompt.a").info("posted", text=PRIVATE, org="acme")
    assert "posted" in stream.getvalue()
    assert "org=acme" in stream.getvalue()
    assert PRIVATE not in stream.getvalue()


def test_an_event_carries_its_attributes(lines: Lines) -> None:
    event(ORG_SELECT, org="acme", user="u1")
    event(AGENT_EXECUTION_FAILED, org="acme", execution="e1", provider="openai", error=ValueError(PRIVATE))
    selected, failed = lines()
    assert (selected["event"], selected["org"], selected["user"]) == ("fleetprompt.org.select", "acme", "u1")
    assert (failed["error_class"], failed["provider"], failed["level"]) == ("ValueError", "openai", "warning")
    assert PRIVATE not in json.dumps(failed)


def test_an_event_outside_the_catalogue_is_refused() -> None:
    with pytest.raises(AssertionError):
        event("fleetprompt.something.else")
    assert all(name.startswith("fleetprompt.") for name in NAMES)
    assert len(NAMES) == 18

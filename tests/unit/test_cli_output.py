"""What commands print: times, JSON, and nothing that moves a terminal's cursor."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest
import rich_click as click

from fleetprompt.cli import output
from fleetprompt.cli.faults import sentence
from fleetprompt.cli.moments import Moment
from fleetprompt.cli.options import parsed
from fleetprompt.cli.secrets import read_secrets
from fleetprompt.kernel.clock import now
from fleetprompt.kernel.errors import Conflict, InvalidInput

NOON = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "now"),
        (0.4, "now"),
        (59, "59s ago"),
        (60, "1m ago"),
        (7199, "1h ago"),
        (200_000, "2d ago"),
        (-90, "in 1m"),
    ],
)
def test_times_are_relative(seconds: float, text: str) -> None:
    assert output.relative(seconds) == text


def test_times_are_also_utc_with_the_day_when_it_is_another() -> None:
    assert output.when(NOON - timedelta(minutes=3), NOON) == "3m ago 11:57:00Z"
    assert output.when(NOON - timedelta(days=3), NOON) == "3d ago 2026-11-18 12:00Z"
    assert output.when(None, NOON) == "-"


def test_json_lines_hold_times_ids_and_money_as_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    east = datetime(2026, 11, 21, 14, 0, 0, 123_456, tzinfo=timezone(timedelta(hours=2)))
    row = {
        "id": UUID(int=1),
        "at": east,
        "cost": Decimal("0E-9"),
        "more": {"paid": Decimal("0.10")},
        "none": None,
    }
    output.show_json([row])
    assert json.loads(capsys.readouterr().out) == {
        "id": str(UUID(int=1)),
        "at": "2026-11-21T12:00:00.123Z",
        "cost": "0",
        "more": {"paid": "0.1"},
        "none": None,
    }


def test_what_a_stranger_wrote_cannot_move_the_cursor_or_turn_the_text_round(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.show_one({"text": "a\x1b[2Jb\u202ec\x9b", "list": ["\x07"]}, as_json=False)
    printed = capsys.readouterr().out
    assert not {"\x1b", "\u202e", "\x9b", "\x07"} & set(printed)
    assert "a\ufffd[2Jb\ufffdc\ufffd" in printed


def test_long_rows_fold_within_100_columns(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"id": str(UUID(int=1)), "summary": "word " * 60, "state": "awaiting_approval"}]
    output.show_rows(rows, ("id", "state", "summary"), as_json=False, nothing="")
    printed = capsys.readouterr().out
    assert max(len(line) for line in printed.splitlines()) <= 100
    assert str(UUID(int=1)) in printed


@pytest.mark.parametrize(("text", "ago"), [("90s", 90), ("15m", 900), ("2h", 7200), ("3d", 259_200)])
def test_a_moment_may_be_said_as_how_long_ago(text: str, ago: int) -> None:
    moment = Moment().convert(text, None, None)
    assert abs((now() - moment).total_seconds() - ago) < 5


def test_a_moment_without_a_zone_is_utc_and_nonsense_is_refused() -> None:
    assert Moment().convert("2026-11-21T12:00", None, None) == NOON
    assert Moment().convert("2026-11-21T14:00+02:00", None, None) == NOON
    for nonsense in ("yesterday", "5w", "99999999999999999d"):
        with pytest.raises(click.BadParameter):
            Moment().convert(nonsense, None, None)


def test_a_value_is_json_where_it_is_json() -> None:
    assert [parsed(text) for text in ("4", "true", '{"a": 1}', "fleet", "0.5.1")] == [
        4,
        True,
        {"a": 1},
        "fleet",
        "0.5.1",
    ]


def test_a_plain_secret_is_refused_without_being_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "TOKEN_HERE", "s3cret-token")
    assert read_secrets(["bot_token=env:TOKEN_HERE"], None)["bot_token"].reveal() == "s3cret-token"
    for given in ("bot_token=hunter2hunter2", "bot_token", "bot_token=env:", "bot_token="):
        with pytest.raises(click.UsageError) as refused:
            read_secrets([given], None)
        assert "hunter2" not in refused.value.message
        assert "env:VARIABLE" in refused.value.message
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_secrets(["bot_token=file:/no/such/file"], None)


def test_a_foreign_error_is_named_by_its_class_alone() -> None:
    assert sentence(Conflict("It is taken.", "Take another.")) == "It is taken. Take another."
    said = sentence(ValueError("hunter2 was in here"))
    assert "ValueError" in said
    assert "hunter2" not in said
    assert "FLEETPROMPT_DEBUG=1" in said

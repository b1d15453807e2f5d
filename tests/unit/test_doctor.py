"""What the doctor makes of what it sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from fleetprompt.doctor.machine import check_disk
from fleetprompt.doctor.work import Jobs, judge_installation, judge_jobs
from fleetprompt.packages.look import Status

ABSURD = 10**18


def installation(**changes: Any) -> Status:
    usual: dict[str, Any] = {
        "installation_id": UUID(int=1), "package": "mattermost", "name": "", "version": "1.0.0", "state": "installed",
        "error": None, "account": "fleet", "server_version": "5.37.0", "config": {}, "generation": 1,
        "is_listened_to": True, "waiting": 0, "stuck": 0, "connection": "connected",
    }  # fmt: skip
    return Status(**{**usual, **changes})


@pytest.mark.parametrize(
    ("limits", "level"),
    [({}, "ok"), ({"scarce": ABSURD}, "warn"), ({"scarce": ABSURD, "too_little": ABSURD}, "fail")],
)
def test_a_full_disk_is_told_before_it_stops_the_database(
    tmp_path: Path, limits: dict[str, int], level: str
) -> None:
    finding = check_disk(tmp_path / "not" / "there" / "yet", **{"scarce": 0, "too_little": 0, **limits})
    assert (finding.level, bool(finding.remedy)) == (level, level != "ok")


@pytest.mark.parametrize(
    ("changes", "level", "words"),
    [
        ({}, "ok", "connected as @fleet"),
        ({"state": "disabled"}, "ok", "disabled"),
        ({"state": "needs_config", "error": "no token"}, "fail", "package configure mattermost --org acme"),
        ({"is_listened_to": False}, "warn", "fleetprompt up"),
        (
            {"connection": "error", "last_error": "refused", "remedy": "Make a new token."},
            "fail",
            "Make a new token.",
        ),
        ({"connection": "disconnected", "last_error": "no way"}, "warn", "no way"),
        ({"stuck": 2}, "warn", "2 directives"),
    ],
)
def test_an_installation_is_judged_with_its_remedy(changes: dict[str, Any], level: str, words: str) -> None:
    finding = judge_installation(installation(**changes), "acme")
    assert finding.level == level
    assert words in f"{finding.detail} {finding.remedy}"
    assert bool(finding.remedy) == (level != "ok")


def test_jobs_are_judged_by_what_a_person_can_do() -> None:
    assert [finding.level for finding in judge_jobs(Jobs(0, 0, 0, 3), "acme")] == ["ok"]
    levels = {finding.detail: finding.level for finding in judge_jobs(Jobs(1, 2, 3, 6), "acme")}
    assert levels == {
        "1 dead letter": "warn",
        "2 jobs left by workers that are gone": "fail",
        "3 jobs due for more than a minute": "warn",
    }

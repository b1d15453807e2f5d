"""The examples in config/ name commands, settings and services that exist, and brokers that the settings accept."""

from __future__ import annotations

import re
from collections.abc import Iterator
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleetprompt.cli.root import cli
from fleetprompt.settings import BROKER_SCHEMES, Settings

EXAMPLES = Path(__file__).parent.parent.parent / "config" / "examples"
UNITS = sorted(EXAMPLES.glob("*.service"))
SETTINGS = {f"FLEETPROMPT_{name.upper()}" for name in Settings.model_fields}
OURS = {"web", "worker", "listener"}


def compose() -> dict[str, Any]:
    document = yaml.safe_load((EXAMPLES / "compose.yaml").read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document


def broker_urls() -> Iterator[str]:
    """Each that an example names."""
    for path in EXAMPLES.iterdir():
        for url in re.findall(r"\b(?:nats|amqps?|rediss?)://\S+", path.read_text(encoding="utf-8")):
            yield url.rstrip(",.;")


def test_there_is_a_unit_for_each_process_that_can_run_apart() -> None:
    assert {path.stem.rstrip("@") for path in UNITS} == {
        "fleetprompt",
        *(f"fleetprompt-{one}" for one in OURS),
    }


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_runs_a_command_that_exists_with_settings_that_exist(path: Path) -> None:
    unit = RawConfigParser(strict=True, interpolation=None, delimiters=("=",))
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(path, encoding="utf-8")
    program, command = unit["Service"]["ExecStart"].split()
    assert Path(program).name == "fleetprompt"
    assert command in cli.commands
    setting = unit["Service"].get("Environment", "FLEETPROMPT_DATA_DIR=").split("=")[0]
    assert setting in SETTINGS
    assert unit["Service"]["Restart"] == "always"
    assert unit["Install"]["WantedBy"]


def test_the_composed_services_run_commands_that_exist_with_settings_that_exist() -> None:
    services = compose()["services"]
    ours = {name: one for name, one in services.items() if one["image"] == "fleetprompt"}
    assert set(ours) == OURS
    for one in ours.values():
        assert one["command"][0] == "fleetprompt"
        assert one["command"][1] in cli.commands
        assert set(one["environment"]) <= SETTINGS
        assert set(one["depends_on"]) <= set(services)


def test_the_composed_parts_belong_together() -> None:
    document = compose()
    services = document["services"]
    named = {volume.split(":")[0] for one in services.values() for volume in one.get("volumes", [])}
    assert named == set(document["volumes"])
    hosts = {re.sub(r".*@|.*//", "", url).split(":")[0] for url in broker_urls()}
    assert {name for name, one in services.items() if one.get("profiles")} <= hosts
    assert "@postgres:5432/" in services["web"]["environment"]["FLEETPROMPT_DATABASE_URL"]


def test_the_settings_accept_each_broker_of_the_examples() -> None:
    urls = list(broker_urls())
    assert {url.split(":")[0] for url in urls} == {"nats", "amqp", "redis"} <= set(BROKER_SCHEMES)
    for url in urls:
        assert Settings.model_validate({"broker_url": url}).broker_url is not None

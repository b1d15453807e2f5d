"""Settings by a manifest's schema, and settings of older versions brought forward."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from fleetprompt.connectors.mattermost.settings import MattermostConfig
from fleetprompt.kernel.errors import InvalidInput
from fleetprompt.packages.manifest.configuration import Config, migrated
from fleetprompt.packages.manifest.lint import read_written
from fleetprompt.packages.publishing import FIRST_PARTY
from fleetprompt.packages.settings_schema import check_settings
from tests.manifests import manifest

MATTERMOST = read_written(FIRST_PARTY / "mattermost" / "1.0.0.yaml").manifest
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["url"],
    "properties": {
        "url": {"type": "string", "pattern": "^https://", "description": "Where."},
        "pace": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3, "description": "How fast."},
        "names": {"type": "array", "items": {"type": "string", "maxLength": 3}, "default": [], "description": "Who."},
    },
}  # fmt: skip
PACKAGE = manifest(config={"version": 1, "schema": SCHEMA})


def test_settings_that_fit_are_taken() -> None:
    check_settings(PACKAGE, {"url": "https://a", "pace": 9, "names": ["ann"]})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "greeter needs the setting url. --set url=..."),
        ({"url": "https://a", "pcae": 1}, "greeter has no setting 'pcae'. Did you mean: pace?"),
        ({"url": "hush://secret"}, "The setting 'url' cannot be used: it must match ^https://. Where."),
        (
            {"url": "https://a", "pace": 10},
            "The setting 'pace' cannot be used: it must be at most 9. How fast.",
        ),
        ({"url": "https://a", "pace": "3"}, "it must be of the type integer"),
        (
            {"url": "https://a", "names": ["ann", "secret"]},
            "'names'[1] cannot be used: it must have at most 3",
        ),
    ],
)
def test_a_refusal_names_the_setting_the_rule_and_the_use_and_quotes_no_value(
    settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_settings(PACKAGE, settings)
    assert said in str(refused.value)
    assert "secret" not in str(refused.value)


def test_what_the_connector_makes_of_settings_its_manifest_allows() -> None:
    given = {
        "server_url": "https://a.example",
        "allowed_bots": "a, b",
        "channel_agents": "x=Y",
        "post_burst": "3",
    }
    settings = MattermostConfig.model_validate(given).model_dump(mode="json")
    check_settings(MATTERMOST, settings)


STEPS = [
    {"to": 2, "steps": [{"op": "rename", "key": "host", "to": "url"}, {"op": "drop", "key": "old"}]},
    {
        "to": 3,
        "steps": [
            {"op": "default", "key": "pace", "value": 3},
            {"op": "map", "key": "tone", "values": {"nice": "kind"}},
        ],
    },
]
NEWEST = Config.model_validate_json(
    TypeAdapter(dict[str, Any]).dump_json({"version": 3, "schema": SCHEMA, "migrations": STEPS})
)


def test_settings_of_the_first_version_are_brought_through_each() -> None:
    given = {"host": "https://a", "old": 1, "tone": "nice"}
    assert migrated(NEWEST, given, 1) == {"url": "https://a", "pace": 3, "tone": "kind"}
    assert given == {"host": "https://a", "old": 1, "tone": "nice"}


def test_only_the_migrations_that_are_missing_are_made() -> None:
    assert migrated(NEWEST, {"host": "https://a", "pace": 7, "tone": "dry"}, 2) == {
        "host": "https://a",
        "pace": 7,
        "tone": "dry",
    }
    assert migrated(NEWEST, {"host": "x", "tone": "nice"}, 3) == {"host": "x", "tone": "nice"}


def test_what_a_migration_speaks_of_need_not_be_there() -> None:
    assert migrated(NEWEST, {}, 1) == {"pace": 3}

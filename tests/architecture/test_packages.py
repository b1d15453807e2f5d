"""The packages that come with this program: without fault, signed, and true to what the program does."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import pytest

from fleetprompt.packages.manifest import Manifest
from fleetprompt.packages.manifest.lint import lint, manifest_files
from fleetprompt.packages.manifest.ranges import VersionRange
from fleetprompt.packages.published import PLATFORM
from fleetprompt.packages.publishing import FIRST_PARTY, first_party_files, load_release
from fleetprompt.packages.signing import TRUSTED, verify
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.workflows.check import check
from fleetprompt.runtime.workflows.definition import parse
from tests.architecture.sources import ROOT
from tests.architecture.test_names import registry

__all__ = ["registry"]  # a fixture

FILES = first_party_files()
CONNECTED = ("mattermost",)
"""What has a connector in this program; the others say what they will be."""


@cache
def manifest_of(path: Path) -> Manifest:
    return load_release(path).manifest


def test_they_are_all_there() -> None:
    assert {path.parent.name for path in FILES} == {"mattermost", "proton-mail", "starter-agent", "webhook"}
    assert manifest_files(FIRST_PARTY) == FILES


def test_none_has_a_fault() -> None:
    assert [str(fault) for fault in lint(FIRST_PARTY)] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_each_is_signed_by_the_key_in_the_code(path: Path) -> None:
    release = load_release(path)
    verify(release.canonical, release.signature, release.manifest.label, TRUSTED)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_each_can_be_installed_with_this_program_some_day(path: Path) -> None:
    assert VersionRange.parse(manifest_of(path).platform).admits(PLATFORM)


def test_no_private_key_lies_in_the_tree() -> None:
    key = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}")
    folders = ("adapters", "config", "fleetprompt", "tests", "bench")
    every = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    assert [path for path in every if key.search(path.read_bytes())] == []


def test_what_can_be_installed_speaks_of_signals_and_directives_that_there_are(registry: Registry) -> None:
    for path in FILES:
        manifest = manifest_of(path)
        if manifest.slug in CONNECTED:
            assert set(manifest.signals.emitted) <= set(registry.signals), manifest.label
            assert set(manifest.directives) <= set(registry.directives), manifest.label


def test_the_templates_of_workflows_are_workflows(registry: Registry) -> None:
    found = [workflow for path in FILES for workflow in manifest_of(path).provides.workflows]
    assert found
    for workflow in found:
        words = workflow.model_dump(mode="json", exclude={"title"}, exclude_defaults=True)
        check(registry, parse(json.dumps(words).encode()))


def test_the_templates_of_agents_use_tools_that_there_are(registry: Registry) -> None:
    tools = {tool for path in FILES for agent in manifest_of(path).provides.agents for tool in agent.tools}
    assert tools <= set(registry.tools)

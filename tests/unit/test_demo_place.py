"""Where the demo keeps its things: what a run in order leaves is used again, and nothing else."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetprompt.database.embedded.layout import ROOT_DATA_DIR
from fleetprompt.kernel.errors import Conflict
from fleetprompt.sandbox.demo.place import held_place


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A place below a directory that nobody else may pass."""
    tmp_path.chmod(0o700)
    home = tmp_path / ".demo"
    try:
        yield home
    finally:
        with held_place(home) as place:  # a new one throws the old database away
            shutil.rmtree(place.data_dir)


@pytest.fixture
def port() -> int:
    """A port that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def settled(home: Path, port: int) -> Path:
    """A run that ended in order; its data directory."""
    with held_place(home) as place:
        place.posts.write_text("")
        place.settle(port)
        return place.data_dir


def test_run_that_ended_in_order_is_continued(home: Path, port: int) -> None:
    data_dir = settled(home, port)
    with held_place(home) as place:
        assert (place.data_dir, place.port, place.is_new) == (data_dir, port, False)


def test_run_after_an_interrupted_one_starts_from_nothing(home: Path, port: int) -> None:
    data_dir = settled(home, port)
    with held_place(home):
        pass
    with held_place(home) as place:
        assert place.is_new
        assert place.data_dir != data_dir
        assert not data_dir.exists()
        assert not place.posts.exists()


def test_taken_port_means_a_new_start(home: Path, port: int) -> None:
    settled(home, port)
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        with held_place(home) as place:
            assert place.is_new


def test_deleted_place_means_a_new_start(home: Path, port: int) -> None:
    data_dir = settled(home, port)
    shutil.rmtree(home)
    with held_place(home) as place:
        assert place.is_new
        assert not data_dir.exists()


@pytest.mark.parametrize(
    "words", ["", "{", "[]", '{"version": 1}', '{"version": 0, "data_dir": "/", "port": 1}']
)
def test_unreadable_state_means_a_new_start(home: Path, words: str) -> None:
    home.mkdir()
    (home / "settled.json").write_text(words)
    with held_place(home) as place:
        assert place.is_new


def test_second_demo_in_the_same_place_is_refused(home: Path) -> None:
    with held_place(home), pytest.raises(Conflict, match="plays in"), held_place(home):
        pass


def test_database_lies_where_its_server_can_reach_it(home: Path) -> None:
    with held_place(home) as place:
        assert place.data_dir.parent in (home, ROOT_DATA_DIR / "demo")
        assert place.data_dir.is_dir()

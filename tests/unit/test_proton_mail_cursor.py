"""Where reading has come to, also when the mailbox is rebuilt, a folder is added or the settings change."""

from __future__ import annotations

import pytest

from adapters.contract import Cursor
from adapters.errors import Misconfigured
from adapters.proton_mail.cursor import FIRST_LOOK_MS, NOT_READ, Position
from adapters.proton_mail.imap_words import envelope_of, folder_name, mailbox_name, uid_set

NOW_MS = 1_795_255_200_000
DAY_MS = 24 * 3600 * 1000
FOLDERS = ("INBOX", "Folders/Support")


def position(
    cursor: str = "", start_at_ms: int = NOW_MS - DAY_MS, folders: tuple[str, ...] = FOLDERS
) -> Position:
    return Position.parse(Cursor(cursor), start_at_ms, folders, lambda: NOW_MS)


def test_from_a_start_all_folders_are_still_to_be_read() -> None:
    fresh = position()
    assert [fresh.of(folder) for folder in FOLDERS] == [NOT_READ, NOT_READ]
    assert fresh.floor_ms == NOW_MS - DAY_MS


def test_without_a_start_what_stands_there_is_history() -> None:
    fresh = position(start_at_ms=0)
    assert fresh.of("INBOX") is None
    assert fresh.floor_ms == NOW_MS - FIRST_LOOK_MS


def test_a_cursor_comes_back_as_it_went() -> None:
    before = position()
    before.reached("INBOX", 7, 12, NOW_MS - 5)
    after = position(before.dump(), start_at_ms=1)
    assert (after.of("inbox"), after.of("Folders/Support")) == ((7, 12), NOT_READ)
    assert (after.floor_ms, after.newest_ms) == (before.floor_ms, before.newest_ms)


def test_a_folder_that_is_added_later_begins_where_it_is_and_one_that_is_gone_is_forgotten() -> None:
    before = position()
    before.reached("INBOX", 7, 12)
    after = position(before.dump(), folders=("Archive",))
    assert (after.of("Archive"), after.of("INBOX")) == (None, None)


def test_a_rebuilt_mailbox_is_read_again_for_a_week_before_the_newest() -> None:
    moved = position(start_at_ms=1)
    moved.reached("INBOX", 7, 12, NOW_MS - 2 * DAY_MS)
    moved.rebuilt(7 * DAY_MS)
    assert moved.floor_ms == NOW_MS - 7 * DAY_MS  # the newest was now, when reading began
    position(moved.dump()).rebuilt(30 * DAY_MS)
    assert moved.floor_ms == NOW_MS - 7 * DAY_MS


def test_a_mail_from_the_future_moves_nothing_beyond_now() -> None:
    moved = position()
    moved.reached("INBOX", 7, 12, NOW_MS + 365 * DAY_MS)
    assert moved.newest_ms == NOW_MS


def test_fifty_folders_fit() -> None:
    names = tuple(f"Folders/{'x' * 190}{n}" for n in range(50))
    full = position(folders=names)
    for name in names:
        full.reached(name, 2**32 - 1, 2**32 - 1, NOW_MS)
    assert len(full.dump()) <= 4096
    assert full.dump().isprintable()


@pytest.mark.parametrize(
    "cursor", ["x", "[]", '{"v":1}', '{"v":1,"s":1,"t":1,"f":{"a":[1]}}', '{"s":"x","t":1,"f":{}}']
)
def test_a_cursor_of_somebody_else_is_refused(cursor: str) -> None:
    with pytest.raises(Misconfigured):
        position(cursor)


@pytest.mark.parametrize(
    ("folder", "wire"),
    [
        ("INBOX", '"INBOX"'),
        ('a"b\\c', '"a\\"b\\\\c"'),
        ("Labels/Tom & Jerry", '"Labels/Tom &- Jerry"'),
        ("Folders/Gr\u00fc\u00dfe", '"Folders/Gr&APwA3w-e"'),
    ],
)
def test_folders_are_written_as_imap_wants_them(folder: str, wire: str) -> None:
    assert mailbox_name(folder) == wire
    assert folder_name(wire.encode()) == folder


def test_uids_are_written_short() -> None:
    assert uid_set([1, 2, 3, 7, 9, 10]) == "1:3,7,9:10"


def test_dates_are_read_in_any_zone() -> None:
    line = b'1 FETCH (UID 3 INTERNALDATE " 1-Jan-2026 01:00:00 +0130" RFC822.SIZE 10)'
    found = envelope_of([line])
    assert found is not None
    assert (found.uid, found.size_bytes, found.received_at_ms) == (3, 10, 1_767_223_800_000)

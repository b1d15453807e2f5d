"""Secrets at rest."""

from __future__ import annotations

import base64
import os
import pickle
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetprompt.credentials import KEY_FILE, MasterKey, SealBroken, Secret, TenantKey, WrongMasterKey
from fleetprompt.kernel.errors import InvalidInput, Unavailable
from fleetprompt.kernel.ids import TenantSlug

ACME, GLOBEX = TenantSlug("acme"), TenantSlug("globex")
ID = UUID(int=1)


def encoded(key: bytes) -> str:
    return base64.b64encode(key).decode()


@given(st.text(), st.uuids())
def test_what_was_sealed_opens_again(plain: str, secret_id: UUID) -> None:
    key = TenantKey.new(ACME)
    plain = plain.encode("utf-8", "replace").decode()
    sealed = key.seal(secret_id, Secret(plain))
    assert key.open(secret_id, sealed).reveal() == plain
    assert len(plain) < 8 or plain.encode() not in sealed


def test_the_same_secret_never_looks_the_same_twice() -> None:
    key = TenantKey.new(ACME)
    assert len({key.seal(ID, Secret("a")) for _ in range(100)}) == 100


@given(st.data())
def test_any_changed_byte_breaks_the_seal(data: st.DataObject) -> None:
    key = TenantKey.new(ACME)
    sealed = bytearray(key.seal(ID, Secret("bot token")))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SealBroken):
        key.open(ID, bytes(sealed))


@pytest.mark.parametrize("length", range(0, 29))
def test_a_cut_value_is_an_error_with_advice_and_no_crash(length: int) -> None:
    key = TenantKey.new(ACME)
    with pytest.raises(SealBroken, match="Set it again"):
        key.open(ID, key.seal(ID, Secret("bot token"))[:length])


def test_a_sealed_value_opens_for_no_other_secret() -> None:
    key = TenantKey.new(ACME)
    with pytest.raises(SealBroken):
        key.open(uuid4(), key.seal(ID, Secret("bot token")))


def test_a_sealed_value_opens_for_no_other_tenant_even_under_the_same_key() -> None:
    raw = os.urandom(32)
    with pytest.raises(SealBroken):
        TenantKey(GLOBEX, raw).open(ID, TenantKey(ACME, raw).seal(ID, Secret("bot token")))


def test_a_wrapped_key_unwraps_under_its_master_key() -> None:
    master, key = MasterKey(os.urandom(32)), TenantKey.new(ACME)
    sealed = key.seal(ID, Secret("bot token"))
    assert master.unwrap(ACME, master.wrap(key)).open(ID, sealed).reveal() == "bot token"


def test_a_wrapped_key_moved_to_another_tenant_stays_shut() -> None:
    master = MasterKey(os.urandom(32))
    with pytest.raises(SealBroken, match="globex"):
        master.unwrap(GLOBEX, master.wrap(TenantKey.new(ACME)))


def test_a_wrong_master_key_is_an_error_that_says_what_to_restore() -> None:
    right, wrong = MasterKey(os.urandom(32)), MasterKey(os.urandom(32), "FLEETPROMPT_MASTER_KEY")
    with pytest.raises(WrongMasterKey, match=r"Restore that key from your backup") as caught:
        wrong.unwrap(ACME, right.wrap(TenantKey.new(ACME)))
    assert right.fingerprint in str(caught.value)


def test_changing_the_master_key_is_unwrapping_and_wrapping() -> None:
    old, new, key = MasterKey(os.urandom(32)), MasterKey(os.urandom(32)), TenantKey.new(ACME)
    sealed = key.seal(ID, Secret("bot token"))
    rewrapped = new.wrap(old.unwrap(ACME, old.wrap(key)))
    assert new.unwrap(ACME, rewrapped).open(ID, sealed).reveal() == "bot token"


@pytest.mark.parametrize(
    "spelling",
    [
        encoded,
        lambda key: encoded(key).rstrip("="),
        lambda key: base64.urlsafe_b64encode(key).decode() + "\n",
    ],
)
def test_a_given_key_is_read_in_each_spelling(spelling: object) -> None:
    key = b"\xfb\xff" * 16
    assert MasterKey.load(spelling(key), None).fingerprint == MasterKey(key).fingerprint  # type: ignore[operator]


@pytest.mark.parametrize("text", ["short", encoded(b"a" * 31), encoded(b"a" * 33), "ä" * 44, "!" * 44])
def test_what_is_no_key_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(InvalidInput, match="openssl rand") as caught:
        MasterKey.load(text, None)
    assert text not in str(caught.value)


def test_a_database_of_ones_own_needs_a_given_key() -> None:
    with pytest.raises(InvalidInput, match="FLEETPROMPT_MASTER_KEY is not set"):
        MasterKey.load(None, None)


def test_an_embedded_database_gets_a_key_that_stays_and_is_private(tmp_path: Path) -> None:
    first = MasterKey.load(None, tmp_path / "data")
    assert MasterKey.load(None, tmp_path / "data").fingerprint == first.fingerprint
    assert stat.S_IMODE((tmp_path / "data" / KEY_FILE).stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "data").iterdir()] == [KEY_FILE]


def test_a_given_key_wins_over_the_file(tmp_path: Path) -> None:
    MasterKey.load(None, tmp_path)
    assert MasterKey.load(encoded(b"k" * 32), tmp_path).fingerprint == MasterKey(b"k" * 32).fingerprint


def test_all_that_start_at_once_get_the_same_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: MasterKey.load(None, tmp_path).fingerprint, range(32)))
    assert len(set(keys)) == 1


def test_a_key_that_others_can_read_is_refused_with_the_command_that_mends_it(tmp_path: Path) -> None:
    MasterKey.load(None, tmp_path)
    (tmp_path / KEY_FILE).chmod(0o644)
    with pytest.raises(InvalidInput, match="chmod 600"):
        MasterKey.load(None, tmp_path)


def test_a_truncated_key_file_is_never_replaced(tmp_path: Path) -> None:
    MasterKey.load(None, tmp_path)
    (tmp_path / KEY_FILE).write_text("")
    with pytest.raises(InvalidInput, match="Restore it from your backup"):
        MasterKey.load(None, tmp_path)


def test_an_impossible_place_is_an_error_with_advice(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="user that runs FleetPrompt"):
        MasterKey.load(None, tmp_path / "file")


def test_keys_show_and_pickle_nothing() -> None:
    master, key = MasterKey(b"k" * 32), TenantKey(ACME, b"k" * 32)
    for held in (master, key):
        assert "kkkk" not in repr(held) + str(held) + f"{held}"
        with pytest.raises(TypeError):
            pickle.dumps(held)

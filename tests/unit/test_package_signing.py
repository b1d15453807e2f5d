"""Signatures: what was signed is what is read, by whom it must be, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleetprompt.kernel.errors import Conflict, InvalidInput
from fleetprompt.packages.manifest import ManifestRefused
from fleetprompt.packages.signing import (
    SignatureRefused,
    read_private_key,
    read_signature,
    sign,
    signature_path,
    verify,
)
from fleetprompt.packages.signing_files import sign_folder
from tests.manifests import KEY, KEYS, VALID, canonical, key_file, put

CONTENT = canonical()
SIGNED = sign(CONTENT, KEY)


def test_what_was_signed_is_taken() -> None:
    verify(CONTENT, SIGNED, "greeter 1.0.0", KEYS)


def test_one_changed_byte_is_seen_even_with_a_digest_made_to_fit() -> None:
    other = CONTENT.replace(b"Says hello.", b"Says hallo.")
    with pytest.raises(SignatureRefused, match=r"greeter 1\.0\.0 was changed after it was signed"):
        verify(other, SIGNED, "greeter 1.0.0", KEYS)
    fitted = replace(SIGNED, digest=sign(other, KEY).digest)
    with pytest.raises(SignatureRefused, match="not valid"):
        verify(other, fitted, "greeter 1.0.0", KEYS)


def test_another_key_is_not_trusted() -> None:
    stranger = sign(CONTENT, Ed25519PrivateKey.generate())
    with pytest.raises(SignatureRefused, match="not trusted"):
        verify(CONTENT, stranger, "it", KEYS)
    posing = replace(stranger, key_id=SIGNED.key_id)
    with pytest.raises(SignatureRefused, match="not valid"):
        verify(CONTENT, posing, "it", KEYS)
    with pytest.raises(SignatureRefused, match="not trusted"):
        verify(CONTENT, SIGNED, "it")


@pytest.mark.parametrize("odd", ["", "!", "QUJD", "é"])
def test_an_odd_signature_is_refused(odd: str) -> None:
    with pytest.raises(SignatureRefused):
        verify(CONTENT, replace(SIGNED, signature=odd), "it", KEYS)


def test_the_signature_does_not_depend_on_layout(tmp_path: Path) -> None:
    sign_folder(put(tmp_path).parent, key_file(tmp_path))
    first = read_signature(tmp_path / "greeter" / "1.0.0.sig.json")
    put(tmp_path, "# a comment\n" + VALID.replace("name: Greeter", 'name:   "Greeter"'))
    sign_folder(tmp_path / "greeter", key_file(tmp_path))
    assert read_signature(tmp_path / "greeter" / "1.0.0.sig.json") == first


def test_a_folder_is_signed_and_what_was_signed_is_not_changed_by_accident(tmp_path: Path) -> None:
    path, key = put(tmp_path), key_file(tmp_path)
    lines = sign_folder(tmp_path / "greeter", key)
    assert [line.split(":")[0] for line in lines] == ["greeter 1.0.0", "Public key"]
    before = read_signature(signature_path(path))
    put(tmp_path, VALID.replace("Says hello.", "Says good day.", 1))
    with pytest.raises(Conflict, match="raise its version"):
        sign_folder(tmp_path / "greeter", key)
    assert read_signature(signature_path(path)) == before
    sign_folder(tmp_path / "greeter", key, replace=True)
    assert read_signature(signature_path(path)).digest != before.digest
    assert sorted(file.name for file in path.parent.iterdir()) == ["1.0.0.sig.json", "1.0.0.yaml"]


def test_nothing_is_signed_if_one_manifest_has_a_fault(tmp_path: Path) -> None:
    put(tmp_path / "all")
    put(tmp_path / "all", VALID.replace("kind: agent", "kind: odd"), version="2.0.0")
    with pytest.raises(ManifestRefused):
        sign_folder(tmp_path / "all", key_file(tmp_path))
    assert list((tmp_path / "all").rglob("*.sig.json")) == []


def test_keys_that_cannot_sign_are_refused_without_being_quoted(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_private_key(tmp_path / "none")
    (tmp_path / "junk").write_text("hush hush")
    with pytest.raises(InvalidInput, match="no private key") as refused:
        read_private_key(tmp_path / "junk")
    assert "hush" not in str(refused.value)
    with pytest.raises(InvalidInput, match="not an Ed25519 key"):
        read_private_key(key_file(tmp_path, generate_private_key(SECP256R1())))


def test_a_missing_or_broken_signature_is_said(tmp_path: Path) -> None:
    path = signature_path(put(tmp_path))
    with pytest.raises(SignatureRefused, match=r"greeter 1\.0\.0 is not signed"):
        read_signature(path)
    for text in ("", "[]", "{}", '{"digest": "x"}'):
        path.write_text(text)
        with pytest.raises(SignatureRefused, match="holds no signature"):
            read_signature(path)

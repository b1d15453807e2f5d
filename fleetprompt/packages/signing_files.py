"""Signing the manifests of a folder."""

from __future__ import annotations

import os
from pathlib import Path

from fleetprompt.kernel.errors import Conflict
from fleetprompt.packages.manifest.faults import ManifestRefused
from fleetprompt.packages.manifest.lint import Written, lint, manifest_files, read_written
from fleetprompt.packages.signing import (
    Signature,
    digest_of,
    encoded,
    key_id_of,
    read_private_key,
    read_signature,
    sign,
    signature_path,
)


def sign_folder(folder: Path, key_file: Path, *, replace: bool = False) -> list[str]:
    """Sign each manifest that is not signed so already; a line for each. Nothing is signed if one has a fault.

    Raises ManifestRefused, InvalidInput for the key, Conflict when signed content would change without `replace`.
    """
    key = read_private_key(key_file)
    if faults := lint(folder):
        raise ManifestRefused(faults)
    written = [read_written(file) for file in manifest_files(folder)]
    if not replace:
        for one in written:
            _refuse_change(one)
    said = [_write(one, sign(one.canonical, key)) for one in written]
    return [*said, f"Public key: {key_id_of(key.public_key())} {encoded(key.public_key())}"]


def _refuse_change(one: Written) -> None:
    path = signature_path(one.path)
    if path.exists() and read_signature(path).digest != digest_of(one.canonical):
        raise Conflict(
            f"{one.manifest.label} was signed with another content.",
            "If it was published, raise its version; if not, sign with --replace.",
        )


def _write(one: Written, signature: Signature) -> str:
    """In one step: a half-written signature would keep the package from being published."""
    path = signature_path(one.path)
    draft = path.with_suffix(".draft")
    draft.write_text(signature.as_json(), encoding="utf-8")
    os.replace(draft, path)
    return f"{one.manifest.label}: {signature.digest}"

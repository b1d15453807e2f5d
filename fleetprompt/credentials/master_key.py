"""The master key: 32 bytes that open everything. Given by the operator, or kept in a file beside an embedded database."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
import os
import stat
import tempfile
from pathlib import Path
from typing import Final

from fleetprompt.credentials.sealing import (
    KEY_BYTES,
    SealBroken,
    TenantKey,
    WrongMasterKey,
    associated,
    decrypt,
    encrypt,
)
from fleetprompt.database.embedded.layout import prepare_data_dir
from fleetprompt.kernel.errors import InvalidInput, Unavailable
from fleetprompt.kernel.ids import TenantSlug

KEY_FILE: Final = "master.key"
VARIABLE: Final = "FLEETPROMPT_MASTER_KEY"
FINGERPRINT_BYTES: Final = 8
MAKE_ONE: Final = "Make one with `openssl rand -base64 32`, and keep a copy apart from the database."


class MasterKey:
    """Wraps the keys of tenants. Its fingerprint tells two master keys apart and says nothing about them."""

    __slots__ = ("_key", "fingerprint", "origin")

    def __init__(self, key: bytes, origin: str = "memory") -> None:
        assert len(key) == KEY_BYTES
        self._key = key
        self.origin = origin
        digest = hmac.digest(key, b"fleetprompt master key fingerprint", hashlib.sha256)
        self.fingerprint = digest[:FINGERPRINT_BYTES].hex()

    @classmethod
    def load(cls, given: str | None, data_dir: Path | None) -> MasterKey:
        """The given key (base64), else the one in `data_dir`, which is made at the first start.

        Args: data_dir: None with a database of one's own: then the key must be given.
        Raises InvalidInput for a key that is none, or is open to others; Unavailable when the file cannot be used.
        """
        if given:
            return cls(_decoded(given, VARIABLE), VARIABLE)
        if data_dir is None:
            raise InvalidInput(f"{VARIABLE} is not set; a database of your own needs it.", MAKE_ONE)
        path = data_dir / KEY_FILE
        try:
            if not path.exists():
                _make(path)
            return cls(_decoded(_read_private(path), str(path)), str(path))
        except OSError as error:
            raise Unavailable(
                f"The master key in {path} cannot be used: {error.strerror}.",
                "Give the file to the user that runs FleetPrompt.",
            ) from error

    def wrap(self, key: TenantKey) -> bytes:
        """The tenant's key as it may be stored: our fingerprint, then the sealed key, bound to the tenant."""
        return bytes.fromhex(self.fingerprint) + encrypt(self._key, key._key, _bound_to(key.tenant))

    def unwrap(self, tenant: TenantSlug, wrapped: bytes) -> TenantKey:
        """Raises WrongMasterKey or SealBroken."""
        fingerprint = wrapped[:FINGERPRINT_BYTES].hex()
        if fingerprint != self.fingerprint:
            raise WrongMasterKey(
                f"The secrets of {tenant} were sealed under another master key (fingerprint {fingerprint}; "
                f"the one from {self.origin} has {self.fingerprint}).",
                f"Restore that key from your backup, into {VARIABLE} or the file {KEY_FILE} of the data directory.",
            )
        key = decrypt(self._key, wrapped[FINGERPRINT_BYTES:], _bound_to(tenant))
        if key is None:
            raise SealBroken(
                f"The key of {tenant} cannot be opened: what is stored was changed, or belongs to another tenant.",
                "Restore the database from your backup.",
            )
        return TenantKey(tenant, key)

    def __repr__(self) -> str:
        return f"MasterKey({self.fingerprint} from {self.origin})"

    def __reduce_ex__(self, protocol: object) -> str:
        raise TypeError("a MasterKey is not to be pickled or copied")


def _bound_to(tenant: TenantSlug) -> bytes:
    return associated("tenant key", tenant)


def _decoded(text: str, origin: str) -> bytes:
    """Either alphabet of base64, with or without its padding."""
    plain = text.strip().rstrip("=").replace("-", "+").replace("_", "/")
    with contextlib.suppress(binascii.Error, ValueError):
        key = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
        if len(key) == KEY_BYTES:
            return key
    raise InvalidInput(
        f"The master key from {origin} is not {KEY_BYTES} bytes in base64.",
        f"Restore it from your backup. {MAKE_ONE}",
    )


def _read_private(path: Path) -> str:
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise InvalidInput(f"The master key in {path} can be read by others.", f"Close it: chmod 600 {path}")
    return path.read_text("ascii", "replace")


def _make(path: Path) -> None:
    """Write a new key whole and durably; when two start at once, the first to finish wins and both use its key."""
    prepare_data_dir(path.parent)
    handle, draft = tempfile.mkstemp(prefix=f".{KEY_FILE}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(base64.b64encode(os.urandom(KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        os.unlink(draft)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)

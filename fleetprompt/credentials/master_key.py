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
from fleetprompt.kernel import faults
from fleetprompt.kernel.errors import InvalidInput, Unavailable
from fleetprompt.kernel.ids import TenantSlug

KEY_FILE: Final = "master.key"
VARIABLE: Final = "FLEETPROMPT_MASTER_KEY"
NEXT_FILE: Final = "master.key.next"
FINGERPRINT_BYTES: Final = 8
MAKE_ONE: Final = "Make one with `openssl rand -base64 32`, and keep a copy apart from the database."


faults.declare(["master_key.kept"])


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
                _make(path, os.urandom(KEY_BYTES))
            return cls(_decoded(_read_private(path), str(path)), str(path))
        except OSError as error:
            raise Unavailable(
                f"The master key in {path} cannot be used: {error.strerror}.",
                "Give the file to the user that runs FleetPrompt.",
            ) from error

    @classmethod
    def parse(cls, given: str, origin: str) -> MasterKey:
        """32 bytes in base64. Raises InvalidInput, which names the origin and not the key."""
        return cls(_decoded(given, origin), origin)

    @classmethod
    def next_to(cls, data_dir: Path, successor: MasterKey | None = None) -> MasterKey:
        """The key that is to take the place of the one in `data_dir`: as it lies there, else `successor`, else a new one."""
        path = data_dir / NEXT_FILE
        if not path.exists():
            _make(path, os.urandom(KEY_BYTES) if successor is None else successor._key)
        return cls(_decoded(_read_private(path), str(path)), str(path))

    def seal_successor(self, successor: MasterKey) -> bytes:
        """For processes that have this one alone."""
        return encrypt(self._key, successor._key, associated("master key", successor.fingerprint))

    def open_successor(self, fingerprint: str, sealed: bytes) -> MasterKey:
        """Raises SealBroken."""
        key = decrypt(self._key, sealed, associated("master key", fingerprint))
        if key is None:
            raise SealBroken(
                "The master key's successor cannot be opened: what is stored was changed.",
                "Restore the database from your backup.",
            )
        return MasterKey(key, f"the successor of {self.fingerprint}")

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


def put_in_force(data_dir: Path, former: MasterKey) -> None:
    """The next key takes the place of the former one, which stays beside it under its fingerprint. Repeat it after a death."""
    path = data_dir / KEY_FILE
    with contextlib.suppress(FileExistsError):
        os.link(path, data_dir / f"{KEY_FILE}.{former.fingerprint}")
    faults.reach("master_key.kept")
    os.replace(data_dir / NEXT_FILE, path)
    _settle(data_dir)


def _make(path: Path, key: bytes) -> None:
    """Write a key whole and durably; when two start at once, the first to finish wins and both use its key."""
    prepare_data_dir(path.parent)
    handle, draft = tempfile.mkstemp(prefix=f".{KEY_FILE}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(base64.b64encode(key) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        os.unlink(draft)
    _settle(path.parent)


def _settle(folder: Path) -> None:
    """What was made or renamed in it outlasts a loss of power."""
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)

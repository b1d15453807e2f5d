"""AES-256-GCM as we use it: `version (1 byte) | nonce (12) | ciphertext and tag`.

The associated data names the purpose, the tenant and the secret's id, so that a sealed value opens only where it was sealed: a row that is
copied to another tenant, or to another secret of the same tenant, does not open.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fleetprompt.kernel.errors import FleetPromptError
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.kernel.secret import Secret

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12  # random; 2**32 seals under one key are safe (NIST SP 800-38D, 8.3)
TAG_BYTES: Final = 16
VERSION: Final = b"\x01"


class SealBroken(FleetPromptError):
    """What was stored cannot be opened: it was changed, cut, or moved here from elsewhere."""

    code = "seal_broken"


class WrongMasterKey(FleetPromptError):
    """The master key is not the one that the tenant's key was wrapped with."""

    code = "wrong_master_key"


class TenantKey:
    """The key of one tenant, in memory. It seals and opens that tenant's secrets."""

    __slots__ = ("_key", "tenant")

    def __init__(self, tenant: TenantSlug, key: bytes) -> None:
        assert len(key) == KEY_BYTES
        self.tenant = tenant
        self._key = key

    @classmethod
    def new(cls, tenant: TenantSlug) -> TenantKey:
        """A fresh random key."""
        return cls(tenant, os.urandom(KEY_BYTES))

    def seal(self, secret_id: UUID, secret: Secret) -> bytes:
        """The secret as it may be stored, bound to this tenant and id. Sealing twice gives different bytes."""
        return encrypt(self._key, secret.reveal().encode(), self._bound_to(secret_id))

    def open(self, secret_id: UUID, sealed: bytes) -> Secret:
        """Raises SealBroken."""
        opened = decrypt(self._key, sealed, self._bound_to(secret_id))
        if opened is None:
            raise SealBroken(
                f"The secret {secret_id} of {self.tenant} cannot be opened: it was changed, or belongs elsewhere.",
                "Set it again: fleetprompt package configure --secret NAME=env:NAME.",
            )
        return Secret(opened.decode())

    def derive(self, purpose: str) -> bytes:
        """A key for this purpose alone, from which this one cannot be found."""
        return hmac.digest(self._key, associated("derived", self.tenant, purpose), hashlib.sha256)

    def _bound_to(self, secret_id: UUID) -> bytes:
        return associated("secret", self.tenant, str(secret_id))

    def __repr__(self) -> str:
        return f"TenantKey({self.tenant!r})"

    def __reduce_ex__(self, protocol: object) -> str:
        raise TypeError("a TenantKey is not to be pickled or copied: wrap it with the master key")


def associated(*parts: str) -> bytes:
    """Associated data that no other list of parts has: each part with its length in front."""
    encoded = [part.encode() for part in ("fleetprompt", *parts)]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)


def encrypt(key: bytes, plain: bytes, bound_to: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return VERSION + nonce + AESGCM(key).encrypt(nonce, plain, bound_to)


def decrypt(key: bytes, sealed: bytes, bound_to: bytes) -> bytes | None:
    """None when the key, the data or what it is bound to is not what it was."""
    if sealed[:1] != VERSION or len(sealed) < 1 + NONCE_BYTES + TAG_BYTES:
        return None
    try:
        return AESGCM(key).decrypt(sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :], bound_to)
    except InvalidTag:
        return None

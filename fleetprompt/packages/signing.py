"""Who says that a manifest is theirs: Ed25519 over its canonical JSON (RFC 8785), checked at publish and at load.

A signature lies beside its manifest: `1.0.0.yaml`, `1.0.0.sig.json`.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from fleetprompt.kernel.errors import FleetPromptError, InvalidInput

TRUSTED: Final[dict[str, str]] = {"63e66ce56d3479d1": "fdTCsm4MPvm+jPuHBbrJLJNGGqNJwBwY6myZpZRMeWA="}
"""Public keys (raw, base64) by key id. Whoever holds a private one can publish first-party packages."""
CONTEXT: Final = (
    b"fleetprompt package manifest v1\x00"  # a signature for this, and for nothing else of the same key
)
SIGNATURE_SUFFIX: Final = ".sig.json"


class SignatureRefused(FleetPromptError):
    """What is there is not what a trusted key signed."""

    code = "signature"


@dataclass(frozen=True, slots=True)
class Signature:
    """digest: `sha256:` and 64 hex digits of the canonical JSON; key_id: names the public key."""

    digest: str
    key_id: str
    signature: str

    def as_json(self) -> str:
        """As it is kept in a file."""
        values = {"digest": self.digest, "key": self.key_id, "signature": self.signature}
        return json.dumps(values, indent=2) + "\n"


def digest_of(canonical: bytes) -> str:
    """Names a manifest's content."""
    return f"sha256:{hashlib.sha256(canonical).hexdigest()}"


def key_id_of(public: Ed25519PublicKey) -> str:
    """16 hex digits of the SHA-256 of the raw key."""
    return hashlib.sha256(public.public_bytes_raw()).hexdigest()[:16]


def encoded(public: Ed25519PublicKey) -> str:
    """The raw key in base64, as in TRUSTED."""
    return base64.b64encode(public.public_bytes_raw()).decode()


def sign(canonical: bytes, key: Ed25519PrivateKey) -> Signature:
    """Sign a manifest's canonical JSON."""
    signed = base64.b64encode(key.sign(CONTEXT + canonical)).decode()
    return Signature(digest_of(canonical), key_id_of(key.public_key()), signed)


def verify(canonical: bytes, signature: Signature, what: str, keys: Mapping[str, str] = TRUSTED) -> None:
    """Raises SignatureRefused. what: as in `mattermost 1.0.0`."""
    if digest_of(canonical) != signature.digest:
        raise SignatureRefused(
            f"{what} was changed after it was signed.", "Publish changes as a new version."
        )
    if signature.key_id not in keys:
        advice = "Upgrade FleetPrompt if the package is newer than this program."
        raise SignatureRefused(f"{what} is signed with a key that is not trusted here.", advice)
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(keys[signature.key_id]))
    try:
        public.verify(base64.b64decode(signature.signature, validate=True), CONTEXT + canonical)
    except (InvalidSignature, ValueError) as error:
        raise SignatureRefused(f"The signature of {what} is not valid.", "Do not install it.") from error


def signature_path(manifest: Path) -> Path:
    """Where a manifest's signature lies."""
    return manifest.with_name(f"{manifest.stem}{SIGNATURE_SUFFIX}")


def read_signature(path: Path) -> Signature:
    """Raises SignatureRefused when there is none, or it is none."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return Signature(str(values["digest"]), str(values["key"]), str(values["signature"]))
    except FileNotFoundError as error:
        manifest = path.name.removesuffix(SIGNATURE_SUFFIX)
        advice = "Sign it: fleetprompt package sign FOLDER --key FILE"
        raise SignatureRefused(f"{path.parent.name} {manifest} is not signed.", advice) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SignatureRefused(f"{path.name} holds no signature.", "Sign the manifest again.") from error


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """From a PEM file without a passphrase. Raises InvalidInput, which never quotes the file."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise InvalidInput(f"The key file cannot be read: {error.strerror}.", "Give its path.") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        advice = "Make one: openssl genpkey -algorithm ed25519 -out FILE"
        raise InvalidInput(
            "The key file holds no private key in PEM without a passphrase.", advice
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        advice = "Make one: openssl genpkey -algorithm ed25519 -out FILE"
        raise InvalidInput("The key is not an Ed25519 key.", advice)
    return key

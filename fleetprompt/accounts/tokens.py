"""Secrets of our own making: tokens for programs, codes for people to type. Only their SHA-256 is ever stored.

A plain hash will do, and no slow one: nobody tries 2^60 codes within the minutes that a code lives.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Final

from fleetprompt.kernel.secret import Secret

TOKEN_BYTES: Final = 32
ALPHABET: Final = (
    "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: nothing that is read as something else
)
BITS_PER_CHARACTER: Final = 5
GROUP: Final = 4
_MISREAD: Final = str.maketrans("ILO", "110")
_BETWEEN: Final = re.compile(r"[\s\-‐-―]+")  # people's keyboards turn hyphens into dashes
MAX_TYPED: Final = 100


def new_token(prefix: str = "") -> Secret:
    """256 random bits, fit for a URL or a header. prefix: by which a scanner of secrets knows it."""
    return Secret(prefix + secrets.token_urlsafe(TOKEN_BYTES))


def new_code(groups: int) -> Secret:
    """`7F3K-9QRT-...`: 20 random bits a group."""
    return Secret("-".join("".join(secrets.choice(ALPHABET) for _ in range(GROUP)) for _ in range(groups)))


def read_code(typed: str) -> Secret:
    """What a person meant, however they wrote it: in lower case, with spaces, with O for 0."""
    plain = _BETWEEN.sub("", typed[:MAX_TYPED]).upper().translate(_MISREAD)
    return Secret("-".join(plain[at : at + GROUP] for at in range(0, len(plain), GROUP)))


def digest(secret: Secret | str) -> bytes:
    """32 bytes: how a token or a code is stored."""
    value = secret.reveal() if isinstance(secret, Secret) else secret
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).digest()

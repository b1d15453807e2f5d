"""Ids as Mattermost makes them."""

from __future__ import annotations

import base64
import os
from typing import Final

_BASE32: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_ZBASE32: Final = "ybndrfg8ejkmcpqxot1uwisza345h769"  # Mattermost's alphabet
_TO_ZBASE32: Final = str.maketrans(_BASE32, _ZBASE32)
ID_LENGTH: Final = 26
SECRET_MARK: Final = "sandboxsecret"  # noqa: S105 - by which one is found


def new_id() -> str:
    """26 characters of z-base-32, as every Mattermost id."""
    return base64.b32encode(os.urandom(16)).decode().rstrip("=").translate(_TO_ZBASE32)


def new_secret() -> str:
    """A token: 26 characters as an id, recognised by its mark wherever it stands and must not."""
    return SECRET_MARK + new_id()[len(SECRET_MARK) :]


def is_id(text: str) -> bool:
    """It has the form of an id."""
    return len(text) == ID_LENGTH and text.isascii() and text.isalnum()

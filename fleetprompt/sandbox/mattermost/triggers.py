"""Trigger ids: `base64(id:user:ms:signature)`, good for three seconds of opening a dialog (model/integration_action.go)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from typing import Final

from fleetprompt.sandbox.mattermost.errors import ApiError
from fleetprompt.sandbox.mattermost.ids import new_id

LASTS_MS: Final = 3000
DECODE: Final = "interactive_message.decode_trigger_id."
_KEY: Final = os.urandom(32)  # the real server signs with a key pair of its own


def new_trigger(user_id: str, now_ms: int) -> tuple[str, str]:
    """Returns the short id, which the client learns, and the whole one, which the integration gets."""
    short = new_id()
    data = f"{short}:{user_id}:{now_ms}:"
    return short, base64.b64encode((data + _signature(data)).encode()).decode()


def user_of(trigger_id: str, now_ms: int) -> str:
    """Whose click or command it came from. Raises ApiError 400 for one that is forged, cut or too old."""
    try:
        decoded = base64.b64decode(trigger_id, validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        raise ApiError(DECODE + "base64_decode_failed") from None
    parts = decoded.split(":")
    if len(parts) != 4:
        raise ApiError(DECODE + "missing_data")
    short, user_id, at_ms, signature = parts
    if not at_ms.isdigit() or now_ms - int(at_ms) > LASTS_MS:
        raise ApiError(DECODE + "expired")
    if not hmac.compare_digest(signature, _signature(f"{short}:{user_id}:{at_ms}:")):
        raise ApiError(DECODE + "verify_signature_failed")
    return user_id


def _signature(data: str) -> str:
    return base64.b64encode(hmac.digest(_KEY, data.encode(), hashlib.sha256)).decode()

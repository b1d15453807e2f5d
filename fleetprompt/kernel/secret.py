"""A secret in memory: it can be used, but neither shown nor written down by accident."""

from __future__ import annotations

import hmac
import weakref
from typing import Any, Final, NoReturn

HIDDEN: Final = "[secret]"
MIN_SCRUBBED_CHARS: Final = 8  # shorter ones would blot out ordinary words

_living: weakref.WeakSet[Secret] = weakref.WeakSet()


class Secret:
    """Wraps a string. `reveal()` is the only way to it, and easy to search for; logs scrub its value while it lives."""

    __slots__ = ("__weakref__", "_value")

    def __init__(self, value: str) -> None:
        self._value = value
        if len(value) >= MIN_SCRUBBED_CHARS:
            _living.add(self)

    def reveal(self) -> str:
        """The value itself: pass it on to where it is needed, store it nowhere."""
        return self._value

    def __repr__(self) -> str:
        return HIDDEN

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(HIDDEN, spec)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a Secret is not to be pickled or copied: store it with fleetprompt.credentials")


def without_living_secrets(text: str) -> str:
    """The text with each value of a living Secret blotted out."""
    for secret in tuple(_living):
        if secret._value in text:
            text = text.replace(secret._value, HIDDEN)
    return text

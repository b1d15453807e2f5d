"""Passwords: what is accepted as one, and argon2id off the event loop."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable
from functools import cached_property
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from fleetprompt.accounts.tokens import new_token
from fleetprompt.kernel.errors import InvalidInput, Unavailable
from fleetprompt.kernel.secret import Secret

MIN_CHARACTERS: Final = 12
MAX_CHARACTERS: Final = 256  # NIST SP 800-63B asks for at least 64; argon2 itself does not mind
MIN_DIFFERENT: Final = 5
AT_ONCE: Final = 2  # each takes a core for tens of milliseconds, and MEMORY_KIB
MAX_WAITING: Final = 40
TIME_COST, MEMORY_KIB, LANES = 2, 19_456, 1  # OWASP, Password Storage Cheat Sheet: argon2id, 19 MiB, t=2, p=1

T = TypeVar("T")


def check_password(password: Secret, *, email: str) -> None:
    """Raises InvalidInput for one that would be guessed at once. Length counts, not kinds of characters."""
    value = password.reveal()
    if not MIN_CHARACTERS <= len(value) <= MAX_CHARACTERS:
        raise InvalidInput(
            f"A password has {MIN_CHARACTERS} to {MAX_CHARACTERS} characters.", "A few words will do."
        )
    if len(set(value)) < MIN_DIFFERENT or value.strip().lower() in (email, email.partition("@")[0] * 2):
        raise InvalidInput("This password would be guessed at once.", "Take a few words that nobody knows.")


class Passwords:
    """One a process: it bounds how much of the machine passwords may take."""

    def __init__(
        self, *, time_cost: int = TIME_COST, memory_kib: int = MEMORY_KIB, lanes: int = LANES
    ) -> None:
        self._hasher = PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=lanes)
        self._room = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def hashed(self, password: Secret) -> str:
        """With its salt and parameters, in PHC's format."""
        return await self._aside(lambda: self._hasher.hash(_bytes(password)))

    async def matches(self, stored: str | None, password: Secret) -> bool:
        """Takes as long for a person who is unknown, or has no password, as for one who has."""

        def compare() -> bool:
            try:
                return self._hasher.verify(stored or self._nobodys, _bytes(password)) and stored is not None
            except (Argon2Error, InvalidHashError):
                return False

        return await self._aside(compare)

    def is_outdated(self, stored: str) -> bool:
        """Whether it was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(stored)

    @cached_property
    def _nobodys(self) -> str:
        return self._hasher.hash(_bytes(new_token()))

    async def _aside(self, work: Callable[[], T]) -> T:
        """In a thread, a few at a time. Raises Unavailable when too many wait: a flood of guesses is no reason to stop."""
        if self._waiting >= MAX_WAITING:
            raise Unavailable("Too many people log in at this moment.", "Try again in a few seconds.")
        self._waiting += 1
        try:
            async with self._room:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1


def _bytes(password: Secret) -> bytes:
    """One spelling for what looks alike on every keyboard (NIST SP 800-63B, 5.1.1.2: NFKC)."""
    return unicodedata.normalize("NFKC", password.reveal()).encode("utf-8", "surrogatepass")

"""What the answer to a command is made with, and how it refuses."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from fleetprompt.accounts import Member
from fleetprompt.kernel.errors import FleetPromptError
from fleetprompt.packages.commands.asked import Asked
from fleetprompt.packages.commands.grammar import Command
from fleetprompt.packages.house import House
from fleetprompt.runtime.people import as_actor
from fleetprompt.runtime.signals import Actor
from fleetprompt.tenancy import TenantSession

CHAT_WORDS: Final = (
    (re.compile(r"fleetprompt package configure (\S+)(?: --org \S+)?(?: --secret \S+)+"), r"secret \1"),
    (re.compile(r"fleetprompt package "), ""),
    (re.compile(r" --org \S+"), ""),
    (re.compile(r"--set "), ""),
)


@dataclass(frozen=True, slots=True)
class Context:
    """One command of one person. member: None for somebody whom we do not know."""

    house: House
    asked: Asked
    command: Command
    member: Member | None

    @property
    def known(self) -> Member:
        """Of a command that takes a right."""
        assert self.member is not None, "obey has asked for it"
        return self.member

    @property
    def actor(self) -> Actor:
        """As signals and directives name the person."""
        return as_actor(self.known)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[TenantSession]:
        """A transaction of their organization."""
        async with self.house.tenancy.session(self.asked.tenant) as session:
            yield session


def in_chat(error: FleetPromptError | str) -> str:
    """An error as a person reads it who has no command line before them."""
    said = str(error)
    for words, instead in CHAT_WORDS:
        said = words.sub(instead, said)
    return said

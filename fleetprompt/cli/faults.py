"""Errors as a person at a terminal reads them: one line, `what. advice`, on stderr."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Final

DEBUG: Final = "FLEETPROMPT_DEBUG"
INTERRUPTED: Final = 130  # what a shell reports of a program that Ctrl-C ended


def exit_code_of(error: BaseException) -> int:
    """Tell the person, and say how to exit."""
    if isinstance(error, BrokenPipeError):  # `fleetprompt ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if os.environ.get(DEBUG):
        traceback.print_exception(error)
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    print(sentence(error), file=sys.stderr)  # noqa: T201
    return 1


def sentence(error: BaseException) -> str:
    """What went wrong and what to do. Never quotes a foreign error's text: it may hold a secret or a message."""
    from fleetprompt.kernel.errors import FleetPromptError

    if isinstance(error, FleetPromptError):
        return str(error)
    return _of_database(error) or (
        f"FleetPrompt failed: {type(error).__name__}. Set {DEBUG}=1 to see where, and report it."
    )


def _of_database(error: BaseException) -> str | None:
    import asyncpg

    from fleetprompt.database.engine import is_away

    cause = getattr(getattr(error, "orig", None), "__cause__", None) or error
    known = {
        asyncpg.InvalidCatalogNameError: "The database does not exist. Create it, or mend FLEETPROMPT_DATABASE_URL.",
        asyncpg.InvalidPasswordError: "Postgres refused the password. Mend FLEETPROMPT_DATABASE_URL.",
        asyncpg.InvalidAuthorizationSpecificationError: "Postgres refused the login. Mend FLEETPROMPT_DATABASE_URL.",
        asyncpg.InsufficientPrivilegeError: "The database's role lacks a right. It must own the database and have CREATEROLE.",
        asyncpg.UndefinedTableError: "The database is not prepared, or older than this program. Run: fleetprompt migrate",
        asyncpg.UndefinedColumnError: "The database is older than this program. Run: fleetprompt migrate",
        asyncpg.DiskFullError: "The database's disk is full. Make room; nothing acknowledged is lost.",
    }
    for kind, words in known.items():
        if isinstance(cause, kind):
            return words
    if is_away(error):
        return "Postgres does not answer. Start it, or mend FLEETPROMPT_DATABASE_URL; then try again."
    return None

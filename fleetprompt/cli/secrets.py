"""Secrets on the command line: named by where they are, never given as they are (arguments are seen by every user)."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import rich_click as click

if TYPE_CHECKING:
    from fleetprompt.kernel.secret import Secret

ADVICE: Final = (
    "A secret never stands on the command line, where others can read it."
    " Use --secret {name}=env:VARIABLE, --secret {name}=file:PATH or --secret-stdin {name}."
)
MAX_CHARS: Final = 65_536


def read_secrets(pairs: Sequence[str], from_stdin: str | None) -> dict[str, Secret]:
    """The secrets by name. Raises UsageError for one given in plain, InvalidInput for one that is not there."""
    from fleetprompt.kernel.secret import Secret

    found: dict[str, Secret] = {}
    for pair in pairs:
        name, _, place = pair.partition("=")
        found[name] = Secret(_read(name, place))
    if from_stdin is not None:
        found[from_stdin] = Secret(sys.stdin.read(MAX_CHARS).strip())
    return found


def _read(name: str, place: str) -> str:
    from fleetprompt.kernel.errors import InvalidInput

    kind, _, where = place.partition(":")
    if kind == "env" and where:
        if not os.environ.get(where):
            raise InvalidInput(f"The variable {where} is not set.", f"Set it: export {where}=...")
        return os.environ[where].strip()
    if kind == "file" and where:
        try:
            return Path(where).expanduser().read_text()[:MAX_CHARS].strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise InvalidInput(f"The file {where} cannot be read: {reason}.") from error
    raise click.UsageError(ADVICE.format(name=name or "NAME"))

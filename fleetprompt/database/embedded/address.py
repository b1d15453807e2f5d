"""How to reach the embedded server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from fleetprompt.database.embedded.cluster import DATABASE, ROLE


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where the server answers, and as whom we log in."""

    socket_dir: Path
    port: int
    user: str = ROLE
    database: str = DATABASE

    def url(self, database: str | None = None) -> str:
        """For SQLAlchemy: `postgresql+asyncpg://fleetprompt@/fleetprompt?host=/...&port=5432`."""
        where = {"host": str(self.socket_dir), "port": str(self.port)}
        url = URL.create("postgresql+asyncpg", self.user, database=database or self.database, query=where)
        return url.render_as_string(hide_password=False)

    def kwargs(self, database: str | None = None) -> dict[str, Any]:
        """For asyncpg.connect."""
        return {
            "host": str(self.socket_dir),
            "port": self.port,
            "user": self.user,
            "database": database or self.database,
        }

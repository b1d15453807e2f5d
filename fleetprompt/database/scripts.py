"""Migrations as cached SQL scripts.

Alembic keeps the order and the version table; its offline mode turns "from here to head" into one multi-statement
script, made once a process. So a tenant is created, or moved on, in one transaction and a handful of round trips,
and the same script serves a thousand tenants. The one that creates them is squashed.
"""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg

from fleetprompt.database.squash import squashed

FAMILIES = ("public", "tenant")


@cache
def _directory(family: str) -> ScriptDirectory:
    assert family in FAMILIES, family
    return ScriptDirectory(Path(__file__).parent / "migrations" / family)


@cache
def head(family: str) -> str:
    """The newest revision of a family."""
    revision = _directory(family).get_current_head()
    assert revision is not None
    return revision


def revisions(family: str) -> list[str]:
    """All that this program knows, the oldest first."""
    return [script.revision for script in _directory(family).walk_revisions()][::-1]


def known(family: str, revision: str) -> bool:
    """Whether this program knows a revision; an older program meets newer schemas during a rolling deploy."""
    return revision in revisions(family)


def is_newer(family: str, revision: str | None) -> bool:
    """Whether a newer program made a schema what it is. None = there is none."""
    return revision is not None and not known(family, revision)


@cache
def upgrade_script(family: str, start: str | None, target: str = "head") -> str:
    """SQL that takes a schema (the first of the search path) from `start` (None = empty) to `target`."""
    script = steps(family, start, target)
    return squashed(script) if family == "tenant" and start is None else script


def steps(family: str, start: str | None, target: str) -> str:
    """The same, as the migrations say it one after the other."""
    directory, output = _directory(family), io.StringIO()
    context = MigrationContext.configure(
        dialect=PGDialect_asyncpg(),  # type: ignore[no-untyped-call]  # its parameter style leaves % alone
        opts={
            "as_sql": True,
            "output_buffer": output,
            "starting_rev": start,
            "fn": lambda revision, _: directory._upgrade_revs(target, revision),
        },
    )
    with Operations.context(context):
        context.run_migrations()
    return output.getvalue()

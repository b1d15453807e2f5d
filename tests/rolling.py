"""Rolling deploys for tests: the next release, which has one more migration of each family, beside this one's processes."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
from alembic.script import ScriptDirectory

from fleetprompt import asgi, listener, worker
from fleetprompt.composition import open_house
from fleetprompt.database import scripts
from fleetprompt.settings import Settings
from tests.weather import write_to

MIGRATIONS: Final = Path(scripts.__file__).parent / "migrations"
NEXT: Final = {"public": "public_9999", "tenant": "tenant_9999"}
EXPANDS: Final = {
    "public": "alter table public.job add column next_release text; create index on public.job (next_release);"
    "alter table public.organizations add column next_release text not null default '';"
    "alter table public.connections add column next_release text; alter table public.worker add column next_release text",
    "tenant": "alter table signals add column next_release text; alter table messages add column next_release text;"
    "alter table executions add column next_release jsonb not null default '{}';"
    "alter table directives add column next_release text; create table next_release (id uuid primary key)",
}
"""What a release adds to the busiest tables."""
REVISION: Final = """
from alembic import op

revision, down_revision, branch_labels, depends_on = {next!r}, {last!r}, None, None


def upgrade() -> None:
    op.execute({sql!r})
"""


@contextlib.contextmanager
def next_release(place: Path) -> Iterator[None]:
    """This process is the next release's, as far as migrations go. place: an empty directory."""
    last = {family: scripts.head(family) for family in NEXT}
    for family, revision in NEXT.items():
        shutil.copytree(MIGRATIONS / family, place / family, ignore=shutil.ignore_patterns("__pycache__"))
        words = REVISION.format(next=revision, last=last[family], sql=EXPANDS[family])
        (place / family / "versions" / "9999_next.py").write_text(words)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scripts, "_directory", cache(lambda family: ScriptDirectory(place / family)))
        _forget()
        try:
            yield
        finally:
            _forget()


def _forget() -> None:
    scripts.head.cache_clear()
    scripts.upgrade_script.cache_clear()


async def serve(settings: dict[str, Any], log: str, _: dict[str, Any]) -> None:
    """Web, worker and listener as `fleetprompt up` starts them, until killed; all output into a file."""
    write_to(log)
    async with open_house(Settings.model_validate(settings), role="up") as house:
        never = asyncio.Event()
        await asyncio.gather(*[one.serve(house, never) for one in (asgi, worker, listener)])


async def serve_web(settings: dict[str, Any], log: str, _: dict[str, Any]) -> None:
    """The same for `fleetprompt web`."""
    write_to(log)
    async with open_house(Settings.model_validate(settings), role="web") as house:
        await asgi.serve(house, asyncio.Event())


@contextlib.asynccontextmanager
async def watched(port: int) -> AsyncIterator[list[tuple[int, Any]]]:
    """What `/readyz` answers meanwhile, from its first answer on, several times a second."""
    answers: list[tuple[int, Any]] = []

    async def ask(client: httpx2.AsyncClient) -> None:
        while True:
            try:
                answer = await client.get(f"http://127.0.0.1:{port}/readyz")
                answers.append((answer.status_code, answer.json()))
            except httpx2.ConnectError:
                assert not answers, "it does not listen any more"
            await asyncio.sleep(0.1)

    async with httpx2.AsyncClient(trust_env=False) as client:
        asking = asyncio.create_task(ask(client))
        try:
            async with asyncio.timeout(30):
                while not answers and not asking.done():
                    await asyncio.sleep(0.05)
            yield answers
        finally:
            asking.cancel()
            [ended] = await asyncio.gather(asking, return_exceptions=True)
            assert isinstance(ended, asyncio.CancelledError), ended

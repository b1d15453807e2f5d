"""What `up` says once it serves: where, for whom, and what to do next."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fleetprompt.cli import output

if TYPE_CHECKING:
    from fleetprompt.composition import House
    from fleetprompt.model import Connection, Organization


async def welcome(house: House, listening: asyncio.Future[tuple[str, int]]) -> None:
    """Printed once connections are accepted."""
    from sqlalchemy import select

    from fleetprompt.model import Connection
    from fleetprompt.tenancy.organizations import list_organizations

    host, port = await listening
    organizations = await list_organizations(house.database)
    async with house.database.session() as session:
        connections = list(await session.scalars(select(Connection).order_by(Connection.connector)))
    for line in greeting(house, host, port, organizations, connections):
        output.say(line)


def greeting(
    house: House,
    host: str,
    port: int,
    organizations: Sequence[Organization],
    connections: Sequence[Connection],
) -> list[str]:
    """The lines."""
    shown = f"[{host}]" if ":" in host else host
    return [
        f"FleetPrompt serves on http://{shown}:{port} (/healthz, /readyz, /metrics). Ctrl-C stops it.",
        f"  database      {_database(house)}",
        f"  model         {house.settings.model}",
        *(_organization(found, connections) for found in organizations),
        f"Next: {next_step(organizations, connections)}",
    ]


def next_step(organizations: Sequence[Organization], connections: Sequence[Connection]) -> str:
    """What is still missing for a first answer."""
    if not organizations:
        return "fleetprompt bootstrap --org SLUG --owner EMAIL"
    slug = organizations[0].slug
    if not connections:
        return (
            f"fleetprompt agent create NAME --org {slug}, then connect a Mattermost:\n"
            f"  fleetprompt package install mattermost --org {slug} --set server_url=https://... --set team=...\n"
            "    --secret bot_token=env:BOT_TOKEN"
        )
    return f"mention the bot in a channel; `fleetprompt signals list --org {slug}` shows what arrived."


def _database(house: House) -> str:
    if house.postgres is not None:
        return f"embedded, in {house.postgres.layout.data_dir}"
    url = house.database.url
    return f"{url.database} on {url.host or url.query.get('host', 'this machine')}"


def _organization(organization: Organization, connections: Sequence[Connection]) -> str:
    mine = [c for c in connections if c.tenant == organization.slug]
    listed = ", ".join(f"{c.connector}{'' if c.enabled else ' (disabled)'}" for c in mine)
    state = "" if organization.state == "active" else f" ({organization.state})"
    return f"  organization  {organization.slug}{state}: {listed or 'no connections yet'}"

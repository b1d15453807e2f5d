"""`python -m fleetprompt.sandbox.mattermost --port N [--state FILE]`: prints {"url": ...} when it is ready."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from fleetprompt.sandbox.mattermost.server import SandboxMattermost
from fleetprompt.sandbox.serving import serve


async def run(port: int, state_path: Path | None) -> None:
    """Serve until SIGINT or SIGTERM."""
    await serve(SandboxMattermost(port, state_path))


def main() -> None:
    """Parse the arguments and serve."""
    parser = argparse.ArgumentParser(description="A sandbox Mattermost on loopback.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--state", type=Path, help="a file that keeps accounts and posts across restarts")
    arguments = parser.parse_args()
    asyncio.run(run(arguments.port, arguments.state))


if __name__ == "__main__":
    main()

"""`python -m fleetprompt.sandbox.mattermost --port N [--state FILE]`: prints {"url": ...} when it is ready."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path

from fleetprompt.sandbox.mattermost.server import SandboxMattermost


async def serve(port: int, state_path: Path | None) -> None:
    """Serve until SIGINT or SIGTERM."""
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with SandboxMattermost(port, state_path) as server:
        sys.stdout.write(json.dumps({"url": server.url}) + "\n")
        sys.stdout.flush()
        await stopped.wait()


def main() -> None:
    """Parse the arguments and serve."""
    parser = argparse.ArgumentParser(description="A sandbox Mattermost on loopback.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--state", type=Path, help="a file that keeps accounts and posts across restarts")
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.port, arguments.state))


if __name__ == "__main__":
    main()

"""`python -m fleetprompt.sandbox.mailbox --port N`: prints {"url": ...} of the control API when it is ready."""

from __future__ import annotations

import argparse
import asyncio

from fleetprompt.sandbox.mailbox.server import SandboxMailbox
from fleetprompt.sandbox.serving import serve


def main() -> None:
    """Parse the arguments and serve."""
    parser = argparse.ArgumentParser(description="A sandbox mailbox on loopback.")
    parser.add_argument("--port", type=int, default=0, help="of the control API; 0 takes a free one")
    asyncio.run(serve(SandboxMailbox(parser.parse_args().port)))


if __name__ == "__main__":
    main()

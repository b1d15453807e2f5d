"""What the forked command lines of tests find imported; see `tests.command_line`."""

import asyncpg
import rich.table

import fleetprompt.asgi
import fleetprompt.cli.root
import fleetprompt.connectors.register
import fleetprompt.doctor
import fleetprompt.listener
import fleetprompt.packages.inline
import fleetprompt.packages.look
import fleetprompt.runtime.trace_text
import fleetprompt.worker

__all__ = ["asyncpg", "fleetprompt", "rich"]

"""What takes seconds to import, for the process that tests fork their services from."""

from __future__ import annotations

import fleetprompt.connectors.register
import fleetprompt.packages.commands.register
import fleetprompt.packages.register
import fleetprompt.runtime.llm.wire
import fleetprompt.runtime.register
import tests.weather

LOADED = (
    fleetprompt.connectors.register,
    fleetprompt.packages.commands.register,
    fleetprompt.packages.register,
    fleetprompt.runtime.llm.wire,
    fleetprompt.runtime.register,
    tests.weather,
)

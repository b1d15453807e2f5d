"""An installation as a person reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleetprompt.cli import output

if TYPE_CHECKING:
    from fleetprompt.packages.look import Status


def say_status(one: Status) -> None:
    """What it is, then what is worth saying of its health."""
    name = f" {one.name}" if one.name else ""
    as_whom = f" as @{one.account}" if one.account else ""
    output.say(output.harmless(f"{one.package}{name} {one.version}: {one.state}{as_whom}"))
    for label, value in _health(one).items():
        if value:
            output.say(output.harmless(f"  {label:13} {value}"))


def _health(one: Status) -> dict[str, Any]:
    since = f"{one.connection}, since {output.when(one.since)}"
    return {
        "connection": since if one.is_listened_to and one.connection else "no listener holds it",
        "last event": one.last_event_at and output.when(one.last_event_at),
        "backlog": one.backlog,
        "waiting": one.waiting and f"{one.waiting} directives",
        "stuck": one.stuck and f"{one.stuck} directives failed or of unknown outcome",
        "paused until": one.blocked_until and output.when(one.blocked_until),
        "error": one.error,
        "last error": one.last_error and f"{one.last_error} ({output.when(one.last_error_at)})",
        "what to do": one.remedy,
    }

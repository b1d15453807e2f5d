"""An installation as a person reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fleetprompt.cli import output

if TYPE_CHECKING:
    from fleetprompt.packages.look import Status


DONE = {
    "install": "installed",
    "configure": "configured",
    "enable": "enabled",
    "disable": "disabled",
    "uninstall": "uninstalled",
    "upgrade": "upgraded to {version}",
    "rollback": "back at {version}",
}
MADE = {"agents": "agent", "workflows": "workflow", "skills": "skill"}


def made_lines(receipt: Mapping[str, Any]) -> Iterator[str]:
    """What a directive's result says of the agents, workflows and skills of a package."""
    made = [f"{kind} {name}" for key, kind in MADE.items() for name in receipt.get(key, ())]
    if made:
        yield f"It provides: {', '.join(made)}."
    if receipt.get("agents") and receipt.get("state") == "installed":
        yield f"Ask it by its name, after the mention: @... {receipt['agents'][0]} ..."
    for key, words in (
        ("removed", "Removed: {}."),
        ("kept", "Left as you changed it: {}."),
        ("changed", "Gone though you had changed it: {}."),
        ("orphaned", "Names something that is gone now: {}."),
        ("missing_tools", "Tools that this program does not bring (yet): {}."),
    ):
        if receipt.get(key):
            yield words.format(", ".join(receipt[key]))


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
    held = since if one.is_listened_to and one.connection else "no listener holds it"
    return {
        "may": ", ".join(one.grants),
        "connection": held if one.listens else None,
        "last event": one.last_event_at and output.when(one.last_event_at),
        "backlog": one.backlog,
        "waiting": one.waiting and f"{one.waiting} directives",
        "stuck": one.stuck and f"{one.stuck} directives failed or of unknown outcome",
        "paused until": one.blocked_until and output.when(one.blocked_until),
        "look at it": "without a connection for too long" if one.stale else None,
        "error": one.error,
        "last error": one.last_error and f"{one.last_error} ({output.when(one.last_error_at)})",
        "what to do": one.remedy,
        "calls us at": ", ".join(one.addresses),
        "in 30 days": "; ".join(f"{each.count} times: {each.title}" for each in one.value if each.count),
    }


def done(verb: str, package: str, org: str, receipt: dict[str, Any]) -> str:
    """What a person is told when a directive has succeeded."""
    account = (receipt.get("account") or {}).get("name")
    as_whom = f" as @{account}" if account and verb != "uninstall" else ""
    lines = [f"{package} is {DONE[verb].format(version=receipt.get('version'))}{as_whom}."]
    if receipt.get("agent"):
        is_new = ", made just now" if receipt.get("agent_is_new") else ""
        lines.append(f"The agent {receipt['agent']} answers{is_new}.")
    lines += made_lines(receipt)
    if verb in ("install", "enable") and account:
        lines.append("It listens while `fleetprompt up` (or `fleetprompt listener`) runs.")
        lines.append(f"Look after it: fleetprompt package status --org {org}")
    return output.harmless("\n".join(lines))

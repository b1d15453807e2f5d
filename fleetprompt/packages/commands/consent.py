"""What a manifest asks for, as the person who consents reads it."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from fleetprompt.packages.manifest import Manifest
from fleetprompt.packages.manifest.asks import Permission

WRITES = ("write", "delete", "admin")
KINDS = ("skills", "agents", "workflows", "connectors")
WHEN = {
    "never": "",
    "tainted": "; a person agrees first where a stranger's text had a part in it",
    "always": "; a person agrees each time",
}


def consent_lines(manifest: Manifest, chosen: Collection[str] = ()) -> list[str]:
    """All that matters for a yes or no. chosen: optional scopes that shall be granted."""
    return [line for title, rows in _sections(manifest, chosen) for line in _section(title, rows)]


def _section(title: str, rows: list[str]) -> list[str]:
    return [f"**{title}**", *(f"- {row}" for row in rows)] if rows else []


def _sections(manifest: Manifest, chosen: Collection[str]) -> Iterator[tuple[str, list[str]]]:
    yield (
        "Adds",
        [f"{kind[:-1]} {_named(part)}" for kind in KINDS for part in getattr(manifest.provides, kind)],
    )
    needed = [one for one in manifest.permissions if one.required or one.grant in chosen]
    yield "May", [permission_line(one) for one in needed]
    optional = [one for one in manifest.permissions if one not in needed]
    yield "May not, unless you add it", [f"{permission_line(one)} Add `+{one.grant}`." for one in optional]
    yield "Sends out", _sent(manifest, needed)
    yield "Costs", [manifest.limits.cost]
    yield "Secrets", [_secret(one) for one in manifest.credentials]
    yield "When it goes", [f"removed: {row}" for row in manifest.uninstall.removes]


def _named(part: object) -> str:
    name = getattr(part, "name", None) or getattr(part, "connector", "")
    return f"`{name}`: {getattr(part, 'title', None) or getattr(part, 'purpose', '')}"


def permission_line(one: Permission) -> str:
    """One scope, what it costs to trust it, and why it is asked for."""
    about = f"risk {one.risk}, {one.data}"
    return f"`{one.grant}` ({about}{WHEN[one.approval]}): {one.reason}"


def _sent(manifest: Manifest, needed: Collection[Permission]) -> list[str]:
    writes = [one for one in needed if one.access in WRITES]
    most = manifest.limits.outbound_per_day
    return [
        *(one.reason for one in writes),
        *([f"At most {most} a day."] if most is not None and writes else []),
        *([] if writes else ["Nothing."]),
    ]


def _secret(one: object) -> str:
    need = "" if getattr(one, "required", True) else " (optional)"
    how = " ".join(str(getattr(one, "acquire", "")).split())
    return (
        f"`{getattr(one, 'key', '')}`{need}: {getattr(one, 'title', '')}. {how} {getattr(one, 'verify', '')}"
    )

"""A package as a person reads it before deciding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fleetprompt.packages.info import PackageInfo

KINDS = ("skills", "agents", "workflows", "connectors")


def told(one: PackageInfo) -> str:
    """All that matters for a decision; the rest is in --json."""
    lines = [f"{one.name} ({one.package} {one.version}, {one.state}), by {one.author}", one.summary, ""]
    lines += [line.rstrip() for line in one.description.strip().splitlines()]
    if one.reason:
        lines.append(f"{one.state.capitalize()}: {one.reason}.")
    if one.problem:
        lines.append(one.problem)
    for title, rows in _sections(one):
        lines += ["", f"{title}:", *(f"  {row}" for row in rows)]
    return "\n".join(lines)


def _sections(one: PackageInfo) -> Iterator[tuple[str, list[str]]]:
    sections = {
        "Adds": [f"{kind[:-1]} {_named(part)}" for kind in KINDS for part in one.provides[kind]],
        "Needs": [f"{r['package']} {r['version']}: {r['reason']}" for r in one.requires],
        "Installs, in order": one.plan if len(one.plan) > 1 else [],
        "May": [_permission(permission) for permission in one.permissions],
        "Secrets": [f"{c['key']}: {c['title']}. {c['verify']}" for c in one.credentials],
        "Settings": _settings(one.config["schema"]),
        "Costs": [one.limits["cost"]],
        "When it goes": [f"removed: {row}" for row in one.uninstall["removes"]]
        + [f"kept: {row}" for row in one.uninstall["keeps"]],
        "Versions": [
            f"{v['version']} {v['state']}{': ' + v['reason'] if v['reason'] else ''}" for v in one.versions
        ],
        "Signed": [f"{one.digest} by key {one.key}"],
    }
    return ((title, rows) for title, rows in sections.items() if rows)


def _named(part: dict[str, Any]) -> str:
    return f"{part.get('name') or part['connector']}: {part.get('title') or part['purpose']}"


def _permission(one: dict[str, Any]) -> str:
    optional = "" if one["required"] else " (optional)"
    return f"{one['access']} {one['scope']}{optional}, risk {one['risk']}, {one['data']}: {one['reason']}"


def _settings(schema: dict[str, Any]) -> list[str]:
    required = schema.get("required", ())
    return [
        f"{name}{' (required)' if name in required else ''}: {setting['description']}"
        for name, setting in schema.get("properties", {}).items()
    ]

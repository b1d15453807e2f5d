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
        "Limits": list(_limits(one.limits)),
        "Health": [f"{one.health['probe']}{_stale(one.health['stale_after_s'])}"],
        "Of use when": [f"{event['title']} ({event['signal']})" for event in one.value],
        "When it goes": [f"removed: {row}" for row in one.uninstall["removes"]]
        + [f"kept: {row}" for row in one.uninstall["keeps"]],
        "Versions": [
            f"{v['version']} {v['state']}{': ' + v['reason'] if v['reason'] else ''}" for v in one.versions
        ],
        "Signed": [f"{one.digest} by key {one.key}"],
    }
    return ((title, rows) for title, rows in sections.items() if rows)


LIMITS = {
    "requests_per_second": "{} requests a second; its settings say how many in fact",
    "burst": "{} of them at once",
    "outbound_per_day": "{} sent a day; its settings say how many in fact",
    "max_installations": "{} installations in an organization",
}


def _limits(limits: dict[str, Any]) -> Iterator[str]:
    for name, words in LIMITS.items():
        if limits[name] is not None:
            number = limits[name]
            yield f"at most {words.format(int(number) if number == int(number) else number)}"


def _stale(after_s: int | None) -> str:
    return "" if after_s is None else f" Worth a look after {after_s} s without a connection."


def _named(part: dict[str, Any]) -> str:
    return f"{part.get('name') or part['connector']}: {part.get('title') or part['purpose']}"


def _permission(one: dict[str, Any]) -> str:
    optional = "" if one["required"] else " (optional)"
    asks = {"never": "", "tainted": ", asks after strangers' text", "always": ", asks each time"}
    what = f"{one['access']} {one['scope'].removesuffix(':' + one['access'])}{optional}"
    return f"{what}, risk {one['risk']}, {one['data']}{asks[one['approval']]}: {one['reason']}"


def _settings(schema: dict[str, Any]) -> list[str]:
    required = schema.get("required", ())
    return [
        f"{name}{' (required)' if name in required else ''}: {setting['description']}"
        for name, setting in schema.get("properties", {}).items()
    ]

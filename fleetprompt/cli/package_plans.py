"""What `configure` and `upgrade` would change, as a person reads it before it is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fleetprompt.cli import output

if TYPE_CHECKING:
    from fleetprompt.kernel.ids import TenantSlug
    from fleetprompt.packages.house import House
    from fleetprompt.packages.inline import Ended
    from fleetprompt.packages.lifecycle import Change, UpgradePlan


@dataclass(frozen=True, slots=True)
class Plan:
    """changes: from old to new; secrets say only that they change. wider, narrower: scopes of another version."""

    changes: Sequence[Change]
    to: str = ""
    wider: Sequence[str] = ()
    narrower: Sequence[str] = ()
    missing: Sequence[str] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)

    def say(self) -> None:
        """Line by line."""
        for scope in self.wider:
            output.say(output.harmless(f"  + may {scope}: {self.reasons.get(scope, '')}"))
        for scope in self.narrower:
            output.say(output.harmless(f"  - may no longer {scope}"))
        for one in self.changes:
            output.say(output.harmless(f"  {one.name}: {_shown(one.old)} -> {_shown(one.new)}"))
        for one_missing in self.missing:
            output.say(output.harmless(f"  needs the {one_missing.replace(':', ' ', 1)}"))
        if not (self.changes or self.wider or self.narrower or self.missing):
            output.say("  No setting changes.")

    def receipt(self) -> dict[str, Any]:
        """As JSON."""
        changes = [output.pick(one, ("name", "old", "new")) for one in self.changes]
        if not self.to:
            return {"changes": changes}
        scopes = {"wider": list(self.wider), "narrower": list(self.narrower)}
        return {"to": self.to, **scopes, "missing": list(self.missing), "changes": changes}


async def plan_of(
    house: House, tenant: TenantSlug, verb: str, package: str, name: str, given: Mapping[str, Any]
) -> Plan | None:
    """None for a verb that changes no setting. Raises what the verb itself would."""
    from fleetprompt.packages import lifecycle

    if verb == "configure":
        return Plan(await lifecycle.plan_configure(house, tenant, package, name=name, **given))
    if verb == "upgrade":
        given = {key: given[key] for key in ("config", "secrets")}
        return _of_upgrade(await lifecycle.plan_upgrade(house, tenant, package, name=name, **given))
    return None


def _of_upgrade(found: UpgradePlan) -> Plan:
    added, removed = found.scopes.added, found.scopes.removed
    return Plan(
        found.changes,
        found.to_version,
        [one.grant for one in added if one.required],
        [one.grant for one in removed],
        found.missing,
        {one.grant: one.reason for one in added},
    )


def planned(plan: Plan | None) -> Ended:
    """The end of a dry run."""
    from fleetprompt.packages.inline import Ended

    return Ended("dry_run", None, None, plan.receipt() if plan is not None else {})


def _shown(value: Any) -> str:
    return "unset" if value is None else str(value)

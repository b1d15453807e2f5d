"""What a package asks for and costs: permissions, credentials, limits; how it is watched and removed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fleetprompt.packages.manifest.names import Key, Line, Part, Prose, ScopeName, SignalName

Access = Literal["read", "write", "delete", "admin"]
Risk = Literal["low", "medium", "high"]
DataClass = Literal["none", "metadata", "personal", "message-content", "attachments", "financial"]
Approval = Literal["never", "tainted", "always"]
"""When a person has to agree: never, if a stranger's text had a part in it, always."""
Count = Annotated[int, Field(ge=0)]


class Permission(Part):
    """One scope. required: the package cannot work without it."""

    scope: ScopeName
    access: Access
    required: bool
    reason: Line
    risk: Risk
    data: DataClass
    approval: Approval

    @property
    def grant(self) -> str:
        """As grants and tools write it: `mattermost.posts:write`."""
        return self.scope if self.scope.endswith(f":{self.access}") else f"{self.scope}:{self.access}"


class CredentialNeed(Part):
    """One secret. acquire: how a person comes by it; verify: how it is tried before it is stored."""

    key: Key
    title: Line
    kind: Literal["token", "password", "signing-secret"]
    required: bool = True
    acquire: Prose
    verify: Line


class QuotaLimits(Part):
    """What one installation may take; its settings may ask for less. max_installations: in one organization.

    cost: what it costs beyond this service, in words.
    """

    requests_per_second: Annotated[float, Field(gt=0, le=10_000)] | None = None
    burst: Annotated[int, Field(ge=1, le=100_000)] | None = None
    outbound_per_day: Count | None = None
    max_installations: Annotated[int, Field(ge=1)] | None = None
    cost: Line


class Health(Part):
    """How an operator sees that it works. probe: what is tried; stale_after_s: so long without a connection is worth a look."""

    probe: Line
    stale_after_s: Annotated[int, Field(ge=1)] | None = None


class Uninstall(Part):
    """What goes, what stays, and for how many days it stays."""

    removes: Annotated[tuple[Line, ...], Field(min_length=1)]
    keeps: tuple[Line, ...] = ()
    retention_days: Annotated[int, Field(ge=0, le=3660)]


class ValueEvent(Part):
    """A signal that says that the package was of use to somebody."""

    signal: SignalName
    title: Line

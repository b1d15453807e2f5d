"""What an organization as a whole may use (row 12). Kept in the registry; a tenant's session may read its own."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import update

from fleetprompt.database.driver import Sql
from fleetprompt.database.engine import Database
from fleetprompt.kernel.errors import InvalidInput
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import Organization
from fleetprompt.tenancy.organizations import find_organization
from fleetprompt.tenancy.session import TenantSession

_OWN = Sql("select limits from public.organizations")  # row security shows a tenant's role its own row alone


class OrganizationLimits(BaseModel):
    """All agents together; what is not set has these defaults. Money in US dollars, days in UTC."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cost_usd_per_day: Decimal = Field(default=Decimal("100"), ge=0)
    runs_per_hour: int = Field(default=5_000, ge=0)
    tool_calls_per_hour: int | None = Field(default=None, ge=0)
    """Of the runs that began within an hour; None = as many as their own limits let them make."""
    running_jobs: int | None = Field(default=None, ge=1, le=1_000)
    """Jobs of it that run at a time, on all workers together; None = what fairness leaves it."""

    @classmethod
    def stored(cls, values: Mapping[str, Any]) -> Self:
        """As the database holds them; what this program does not know, or cannot read, has its default."""
        known = {name: value for name, value in values.items() if name in cls.model_fields}
        try:
            return cls.model_validate(known)
        except ValidationError:
            return cls()


async def own_limits(session: TenantSession) -> OrganizationLimits:
    """The limits of the session's tenant."""
    return OrganizationLimits.stored((await session.fetch(_OWN, {}))[0]["limits"] or {})


async def set_limits(database: Database, slug: TenantSlug, changes: Mapping[str, Any]) -> OrganizationLimits:
    """Change some limits. Raises InvalidInput for one that is none, or cannot be."""
    before = (await find_organization(database, slug)).limits
    try:
        limits = OrganizationLimits.model_validate({**before, **changes})
    except ValidationError as error:
        fault = error.errors()[0]
        known = ", ".join(OrganizationLimits.model_fields)
        raise InvalidInput(
            f"The limit {fault['loc'][0]!r} cannot be set: {fault['msg']}.", f"Known: {known}."
        ) from error
    kept = limits.model_dump(mode="json", exclude_unset=True)
    async with database.session() as session:
        await session.execute(update(Organization).where(Organization.slug == slug).values(limits=kept))
    return limits

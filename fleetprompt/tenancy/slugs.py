"""The names that follow from a slug. A slug that passed `parse_slug` is safe inside an SQL identifier."""

from __future__ import annotations

import re

from fleetprompt.kernel.errors import InvalidInput
from fleetprompt.kernel.ids import TenantSlug

_SLUG = re.compile(r"[a-z0-9_]{1,40}")


def parse_slug(text: str) -> TenantSlug:
    """Raises InvalidInput for anything but 1 to 40 of a-z, 0-9 and _."""
    if _SLUG.fullmatch(text) is None:
        raise InvalidInput(
            f"{text[:60]!r} cannot name an organization.",
            "Use 1 to 40 lower-case letters, digits or underscores.",
        )
    return TenantSlug(text)


def schema_name(tenant: TenantSlug) -> str:
    """The schema of a tenant's data."""
    return f"org_{tenant}"


def role_name(tenant: TenantSlug) -> str:
    """The role that alone may read it."""
    return f"r_org_{tenant}"

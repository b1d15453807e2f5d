"""slug -> org_<slug>. The only opener of tenant sessions, and the maker and mender of tenant schemas."""

from fleetprompt.tenancy.session import Fence, Fenced, Tenancy, TenantSession
from fleetprompt.tenancy.slugs import parse_slug, role_name, schema_name

__all__ = ["Fence", "Fenced", "Tenancy", "TenantSession", "parse_slug", "role_name", "schema_name"]

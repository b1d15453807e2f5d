"""A tenant's role and schema. Roles belong to the whole server; the schema belongs to this database."""

from __future__ import annotations

from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.tenancy.slugs import parse_slug, role_name, schema_name


def role_script(tenant: TenantSlug) -> str:
    """SQL that makes the role and its two grants; idempotent. The service may take the role on, not inherit it."""
    role = role_name(parse_slug(tenant))
    return f"""
DO $$ BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = '{role}') THEN
        BEGIN
            CREATE ROLE {role} NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END IF;
    IF NOT pg_has_role('{role}', 'fleetprompt_tenant', 'MEMBER') THEN
        GRANT fleetprompt_tenant TO {role};
    END IF;
    IF NOT EXISTS (
        SELECT 1 FROM pg_auth_members WHERE roleid = '{role}'::regrole
            AND member = quote_ident(current_user)::regrole AND set_option AND NOT inherit_option
    ) THEN
        GRANT {role} TO CURRENT_USER WITH INHERIT FALSE, SET TRUE;
    END IF;
END $$;
"""  # noqa: S608


def schema_script(tenant: TenantSlug) -> str:
    """SQL that makes the schema, owned by the role; idempotent."""
    return f"CREATE SCHEMA IF NOT EXISTS {schema_name(parse_slug(tenant))} AUTHORIZATION {role_name(tenant)};"

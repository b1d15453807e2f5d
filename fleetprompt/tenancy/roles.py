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


def owner_script(tenant: TenantSlug) -> str:
    """SQL that gives the schema and its relations to the role, as after a restore without owners; idempotent.

    The service may give away what is its own; anything else ends in Postgres' refusal.
    """
    schema, role = schema_name(parse_slug(tenant)), role_name(tenant)
    return f"""
DO $$ DECLARE command text; BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = '{schema}') THEN RETURN; END IF;
    FOR command IN
        -- Who becomes the owner of a table needs CREATE there; who gave the schema away sees into it no more.
        SELECT 'GRANT ALL ON SCHEMA {schema} TO {role}' FROM pg_namespace
            WHERE nspname = '{schema}' AND nspowner <> '{role}'::regrole
        UNION ALL
        SELECT format('ALTER TABLE %s OWNER TO {role}', oid::regclass) FROM pg_class
            WHERE relnamespace = '{schema}'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S')
                AND relowner <> '{role}'::regrole
        UNION ALL
        SELECT 'ALTER SCHEMA {schema} OWNER TO {role}' FROM pg_namespace
            WHERE nspname = '{schema}' AND nspowner <> '{role}'::regrole
    LOOP EXECUTE command; END LOOP;
END $$;
"""  # noqa: S608

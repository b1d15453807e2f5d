"""The registry of packages and the catalogue of skills.

Revision ID: public_0002
Revises: public_0001
"""

from alembic import op

revision = "public_0002"
down_revision = "public_0001"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE public.packages (
    slug TEXT NOT NULL,
    latest TEXT NOT NULL,
    name TEXT NOT NULL,
    author TEXT NOT NULL,
    category TEXT NOT NULL,
    kind TEXT NOT NULL,
    summary TEXT NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    PRIMARY KEY (slug)
);

CREATE TABLE public.package_versions (
    package TEXT NOT NULL,
    version TEXT NOT NULL,
    manifest TEXT NOT NULL,
    digest TEXT NOT NULL,
    key_id TEXT NOT NULL,
    signature TEXT NOT NULL,
    published_at timestamptz DEFAULT now() NOT NULL,
    yanked_at timestamptz,
    yanked_reason TEXT,
    revoked_at timestamptz,
    revoked_reason TEXT,
    PRIMARY KEY (package, version),
    FOREIGN KEY(package) REFERENCES public.packages (slug)
);

CREATE TABLE public.skills (
    package TEXT NOT NULL,
    version TEXT NOT NULL,
    name TEXT NOT NULL,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    instructions TEXT NOT NULL,
    tools TEXT[] NOT NULL,
    examples JSONB NOT NULL,
    PRIMARY KEY (package, version, name),
    FOREIGN KEY(package, version) REFERENCES public.package_versions (package, version)
);

CREATE INDEX skills_name ON public.skills (name);
"""

# A version that somebody installed must stay what it was: it may be withdrawn, never edited, never removed.
GUARDS = """
CREATE FUNCTION public.guard_package_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR TG_OP = 'TRUNCATE' THEN
        RAISE EXCEPTION 'published versions stay' USING ERRCODE = 'check_violation';
    END IF;
    IF (OLD.package, OLD.version, OLD.manifest, OLD.digest, OLD.key_id, OLD.signature, OLD.published_at)
        IS DISTINCT FROM
        (NEW.package, NEW.version, NEW.manifest, NEW.digest, NEW.key_id, NEW.signature, NEW.published_at)
    THEN
        RAISE EXCEPTION 'published versions are immutable' USING ERRCODE = 'check_violation';
    END IF;
    IF OLD.revoked_at IS NOT NULL AND (NEW.revoked_at, NEW.revoked_reason)
        IS DISTINCT FROM (OLD.revoked_at, OLD.revoked_reason)
    THEN
        RAISE EXCEPTION 'revoked versions stay revoked' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER guard_package_version BEFORE UPDATE OR DELETE ON public.package_versions FOR EACH ROW
    EXECUTE FUNCTION public.guard_package_version();
CREATE TRIGGER guard_package_versions BEFORE TRUNCATE ON public.package_versions FOR EACH STATEMENT
    EXECUTE FUNCTION public.guard_package_version();
CREATE TRIGGER refuse_update BEFORE UPDATE OR DELETE ON public.skills FOR EACH ROW
    EXECUTE FUNCTION public.refuse_update();
"""


def upgrade() -> None:
    """Forward only: there is no downgrade. Tenants get no rights here: what they install is read for them."""
    for part in (TABLES, GUARDS):
        op.execute(part)

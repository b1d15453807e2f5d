"""What a person was shown before they confirm.

Revision ID: tenant_0008
Revises: tenant_0007
"""

from alembic import op

revision = "tenant_0008"
down_revision = "tenant_0007"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE plans (
    id UUID NOT NULL,
    key TEXT NOT NULL,
    code TEXT NOT NULL,
    user_id UUID NOT NULL,
    door JSONB NOT NULL,
    wish JSONB NOT NULL,
    steps JSONB NOT NULL,
    digest TEXT NOT NULL,
    text TEXT NOT NULL,
    step BIGINT DEFAULT '0' NOT NULL,
    directive_id UUID,
    installation_id UUID,
    confirm_key TEXT,
    post_directive_id UUID,
    shown TEXT DEFAULT '' NOT NULL,
    revision BIGINT DEFAULT '0' NOT NULL,
    error TEXT,
    created_at timestamptz DEFAULT now() NOT NULL,
    expires_at timestamptz NOT NULL,
    voided_at timestamptz,
    confirmed_at timestamptz,
    finished_at timestamptz,
    PRIMARY KEY (id),
    UNIQUE (key)
);
"""

INDEXES = """
CREATE INDEX plans_code ON plans (code, created_at);
CREATE INDEX plans_under_way ON plans (directive_id) WHERE confirmed_at IS NOT NULL AND finished_at IS NULL;
"""

# A plan is confirmed once, and what was confirmed is what was shown.
GUARD = """
CREATE FUNCTION plan_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.user_id, NEW.digest, NEW.text, NEW.steps, NEW.code) IS DISTINCT FROM
       (OLD.user_id, OLD.digest, OLD.text, OLD.steps, OLD.code)
       OR (OLD.confirmed_at IS NOT NULL AND (NEW.confirmed_at, NEW.confirm_key) IS DISTINCT FROM
           (OLD.confirmed_at, OLD.confirm_key))
       OR (NEW.confirmed_at IS NOT NULL AND NEW.voided_at IS NOT NULL) THEN
        RAISE EXCEPTION 'a plan is confirmed as it was shown, once';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER plan_guard BEFORE UPDATE ON plans FOR EACH ROW EXECUTE FUNCTION plan_guard();
"""


def upgrade() -> None:
    """Forward only: there is no downgrade."""
    op.execute(TABLES)
    op.execute(INDEXES)
    op.execute(GUARD)

"""Installations say what they wait for and why they were stopped, keep their former versions, and are purged in time.

Revision ID: tenant_0007
Revises: tenant_0006
"""

from alembic import op

revision = "tenant_0007"
down_revision = "tenant_0006"
branch_labels = None
depends_on = None

COLUMNS = """
ALTER TABLE installations ADD COLUMN error_code TEXT;
ALTER TABLE installations ADD COLUMN missing TEXT[] DEFAULT '{}' NOT NULL;
ALTER TABLE installations ADD COLUMN blocked TEXT;
ALTER TABLE installations ADD COLUMN purge_at timestamptz;
ALTER TABLE installations ADD COLUMN purged_at timestamptz;
"""

TABLES = """
CREATE TABLE installation_versions (
    installation_id UUID NOT NULL,
    number BIGINT NOT NULL,
    version TEXT NOT NULL,
    package_digest TEXT,
    config_version BIGINT NOT NULL,
    config JSONB NOT NULL,
    left_by TEXT NOT NULL,
    left_for TEXT NOT NULL,
    directive_id UUID NOT NULL,
    left_at timestamptz DEFAULT now() NOT NULL,
    returned_at timestamptz,
    PRIMARY KEY (installation_id, number),
    FOREIGN KEY(installation_id) REFERENCES installations (id)
);
"""

INDEXES = """
CREATE INDEX installations_purge ON installations (purge_at) WHERE purge_at IS NOT NULL AND purged_at IS NULL;
"""


def upgrade() -> None:
    """Forward only: there is no downgrade."""
    for part in (COLUMNS, TABLES, INDEXES):
        op.execute(part)

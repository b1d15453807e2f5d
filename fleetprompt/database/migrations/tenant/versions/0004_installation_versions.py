"""Which content of a package's version an installation is made of, and the version of its settings.

Revision ID: tenant_0004
Revises: tenant_0003
"""

from alembic import op

revision = "tenant_0004"
down_revision = "tenant_0003"
branch_labels = None
depends_on = None

COLUMNS = """
ALTER TABLE installations ADD COLUMN package_digest TEXT;
ALTER TABLE installations ADD COLUMN config_version BIGINT DEFAULT 1 NOT NULL;
"""


def upgrade() -> None:
    """Forward only: there is no downgrade. An installation from before the registry has no digest."""
    op.execute(COLUMNS)

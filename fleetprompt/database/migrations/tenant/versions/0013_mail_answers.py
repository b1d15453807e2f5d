"""Whom answers by mail are for: each address's are counted, also where another one asked.

Revision ID: tenant_0013
Revises: tenant_0012
"""

from alembic import op

revision = "tenant_0013"
down_revision = "tenant_0012"
branch_labels = None
depends_on = None

TABLE = """
CREATE TABLE IF NOT EXISTS mail_answers (
    execution_id UUID NOT NULL,
    address TEXT NOT NULL,
    installation_id UUID NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    PRIMARY KEY (execution_id, address)
);
CREATE INDEX IF NOT EXISTS mail_answers_recent ON mail_answers (installation_id, address, created_at);
"""


def upgrade() -> None:
    """Forward only: there is no downgrade."""
    op.execute(TABLE)

"""A long text of a mail stands in its fact, and the message refers to it: stored twice, it took a fifth of the time.

Revision ID: tenant_0015
Revises: tenant_0014
"""

from alembic import op

revision = "tenant_0015"
down_revision = "tenant_0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only: there is no downgrade. What is stored already has its text in the message."""
    op.execute("ALTER TABLE messages ADD COLUMN IF NOT EXISTS said_in_fact BOOLEAN DEFAULT false NOT NULL")

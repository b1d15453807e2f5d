"""Long texts are stored as they are: Postgres compressed each copy of a mail's, for most of the time that storing it took.

Only values beyond 2 KB are concerned; they take about twice the room.

Revision ID: tenant_0011
Revises: tenant_0010
"""

from alembic import op

revision = "tenant_0011"
down_revision = "tenant_0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only: there is no downgrade. What is stored already stays as it is, and is read alike."""
    op.execute(
        "ALTER TABLE signals ALTER COLUMN payload SET STORAGE EXTERNAL;"
        "ALTER TABLE messages ALTER COLUMN text SET STORAGE EXTERNAL"
    )

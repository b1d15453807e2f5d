"""Raw mails are stored as they are: Postgres tried to compress each, for most of the time that storing one took.

Attachments are base64, over which its compression gains nothing.

Revision ID: tenant_0006
Revises: tenant_0005
"""

from alembic import op

revision = "tenant_0006"
down_revision = "tenant_0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only: there is no downgrade. What is stored already stays as it is, and is read alike."""
    op.execute("ALTER TABLE mail_chunks ALTER COLUMN body SET STORAGE EXTERNAL")

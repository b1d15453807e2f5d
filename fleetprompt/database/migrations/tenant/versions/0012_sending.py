"""What a person has to mend before an installation can send, beside what its receiving side says of itself.

Revision ID: tenant_0012
Revises: tenant_0011
"""

from alembic import op

revision = "tenant_0012"
down_revision = "tenant_0011"
branch_labels = None
depends_on = None

COLUMNS = """
ALTER TABLE installation_health
    ADD COLUMN IF NOT EXISTS sending_error TEXT,
    ADD COLUMN IF NOT EXISTS sending_error_code TEXT,
    ADD COLUMN IF NOT EXISTS sending_error_at timestamptz,
    ADD COLUMN IF NOT EXISTS sending_remedy TEXT;
"""


def upgrade() -> None:
    """Forward only: there is no downgrade."""
    op.execute(COLUMNS)

"""What a person was shown before they confirm.

Revision ID: tenant_0008
Revises: tenant_0007
"""

revision = "tenant_0008"
down_revision = "tenant_0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only: there is no downgrade."""

"""What keeps a tenant's tables fast as they grow.

Revision ID: tenant_0003
Revises: tenant_0002
"""

revision = "tenant_0003"
down_revision = "tenant_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only: there is no downgrade."""

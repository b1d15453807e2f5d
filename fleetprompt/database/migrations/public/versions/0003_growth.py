"""What keeps the registry fast and its tenants apart as they grow.

Revision ID: public_0003
Revises: public_0002
"""

revision = "public_0003"
down_revision = "public_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only: there is no downgrade."""

"""The master key can be replaced while everything runs.

Revision ID: public_0008
Revises: public_0007
"""

revision = "public_0008"
down_revision = "public_0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only: there is no downgrade."""

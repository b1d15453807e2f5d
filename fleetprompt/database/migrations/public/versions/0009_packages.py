"""The legal moves of an upgrade, and of what was granted.

Revision ID: public_0009
Revises: public_0008
"""

revision = "public_0009"
down_revision = "public_0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only: there is no downgrade."""

"""What a broker's dispatcher needs of the jobs.

Revision ID: public_0004
Revises: public_0003
"""

revision = "public_0004"
down_revision = "public_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only: there is no downgrade."""

"""The registry of packages and the catalogue of skills.

Revision ID: public_0002
Revises: public_0001
"""

revision = "public_0002"
down_revision = "public_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only: there is no downgrade."""

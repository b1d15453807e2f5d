"""One-time links for secrets, and secrets that are awaited in a chat.

Revision ID: tenant_0009
Revises: tenant_0008
"""

revision = "tenant_0009"
down_revision = "tenant_0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only: there is no downgrade."""

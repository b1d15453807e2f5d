"""The scopes that an installation was granted.

Revision ID: tenant_0010
Revises: tenant_0009
"""

revision = "tenant_0010"
down_revision = "tenant_0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only: there is no downgrade."""

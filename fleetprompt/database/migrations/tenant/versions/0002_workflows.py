"""Workflows and their runs.

Revision ID: tenant_0002
Revises: tenant_0001
"""

revision = "tenant_0002"
down_revision = "tenant_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only: there is no downgrade."""

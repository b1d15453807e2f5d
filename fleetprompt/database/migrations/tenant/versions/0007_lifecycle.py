"""Installations keep their former version, and what each of them provisioned.

Revision ID: tenant_0007
Revises: tenant_0006
"""

revision = "tenant_0007"
down_revision = "tenant_0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only: there is no downgrade."""

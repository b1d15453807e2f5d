"""The master key can be replaced while everything runs.

Revision ID: public_0008
Revises: public_0007
"""

from alembic import op

revision = "public_0008"
down_revision = "public_0007"
branch_labels = None
depends_on = None

# Processes that run with the former key find its successor here, sealed by what they have.
TABLES = """
CREATE TABLE public.replaced_master_keys (
    fingerprint TEXT NOT NULL,
    successor TEXT NOT NULL,
    sealed BYTEA,
    created_at timestamptz DEFAULT now() NOT NULL,
    retired_at timestamptz,
    PRIMARY KEY (fingerprint)
);
"""


def upgrade() -> None:
    """Forward only: there is no downgrade."""
    op.execute(TABLES)

"""Where a worker's process runs and when it was born: a neighbour sees at once that it is dead.

Revision ID: public_0011
Revises: public_0010
"""

from alembic import op

revision = "public_0011"
down_revision = "public_0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only: there is no downgrade. Workers of before write nothing there, and are judged by their sessions."""
    op.execute("ALTER TABLE public.worker ADD COLUMN machine text, ADD COLUMN born bigint")

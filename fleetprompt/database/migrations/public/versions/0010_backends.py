"""Which of the server's processes serves a worker: when it is gone, and nothing is heard either, the worker is dead.

Revision ID: public_0010
Revises: public_0009
"""

from alembic import op

revision = "public_0010"
down_revision = "public_0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only: there is no downgrade. Workers of before write nothing there, and their leases end."""
    op.execute("ALTER TABLE public.worker ADD COLUMN backend bigint")

"""Which of the server's processes serves a worker: when it is gone, and nothing is heard either, the worker is dead.

And before statistics are there the planner sorts what an index has in order: 25 ms a claim beside 60,000 waiting jobs,
and 2 without.

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
    op.execute("ALTER FUNCTION public.due_jobs SET enable_sort = off")
    # Before version 18 what is off costs so much that it would be compiled, each time.
    op.execute("ALTER FUNCTION public.due_jobs SET jit = off")

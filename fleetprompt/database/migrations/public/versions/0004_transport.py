"""What a broker's dispatcher needs of the jobs, and what is known of the workers.

Revision ID: public_0004
Revises: public_0003
"""

from alembic import op

revision = "public_0004"
down_revision = "public_0003"
branch_labels = None
depends_on = None

WORKERS = """
ALTER TABLE public.worker ADD COLUMN slots BIGINT DEFAULT 0 NOT NULL, ADD COLUMN kinds TEXT[] DEFAULT '{}' NOT NULL;
"""

DISPATCHED = """
-- Few rows at any time: what is with the broker. Nothing to keep up while Postgres carries the jobs.
CREATE INDEX job_dispatched ON public.job (lease_until) WHERE state = 'dispatched';

-- The moves that every job makes are known to be legal; the look-up is spared on the hot path.
CREATE OR REPLACE TRIGGER guard_move BEFORE UPDATE OF state ON public.job FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state
        AND (OLD.state, NEW.state) NOT IN (('available', 'running'), ('available', 'dispatched'), ('dispatched', 'running')))
    EXECUTE FUNCTION public.guard_move('job');
"""


def upgrade() -> None:
    """Forward only: there is no downgrade."""
    for part in (WORKERS, DISPATCHED):
        op.execute(part)

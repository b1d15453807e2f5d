"""The legal moves of workflows, their runs and their steps.

Revision ID: public_0005
Revises: public_0004
"""

from alembic import op

revision = "public_0005"
down_revision = "public_0004"
branch_labels = None
depends_on = None

MOVES = """
INSERT INTO public.legal_move (machine, source, target) VALUES
    ('workflow', 'active', 'archived'),
    ('workflow', 'active', 'paused'),
    ('workflow', 'paused', 'active'),
    ('workflow', 'paused', 'archived'),
    ('workflow_run', 'queued', 'canceled'),
    ('workflow_run', 'queued', 'failed'),
    ('workflow_run', 'queued', 'running'),
    ('workflow_run', 'running', 'canceled'),
    ('workflow_run', 'running', 'failed'),
    ('workflow_run', 'running', 'succeeded'),
    ('workflow_run', 'running', 'waiting'),
    ('workflow_run', 'waiting', 'canceled'),
    ('workflow_run', 'waiting', 'failed'),
    ('workflow_run', 'waiting', 'running'),
    ('workflow_run', 'failed', 'queued'),
    ('workflow_step', 'pending', 'running'),
    ('workflow_step', 'pending', 'skipped'),
    ('workflow_step', 'running', 'failed'),
    ('workflow_step', 'running', 'succeeded'),
    ('workflow_step', 'running', 'waiting'),
    ('workflow_step', 'waiting', 'failed'),
    ('workflow_step', 'waiting', 'succeeded'),
    ('workflow_step', 'failed', 'pending'),
    ('workflow_step', 'failed', 'waiting');
"""


def upgrade() -> None:
    """Forward only: there is no downgrade."""
    op.execute(MOVES)

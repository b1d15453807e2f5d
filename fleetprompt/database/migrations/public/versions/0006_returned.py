"""The legal moves of what arrived nowhere although it had left: a mail that came back.

Revision ID: public_0006
Revises: public_0005
"""

from alembic import op

revision = "public_0006"
down_revision = "public_0005"
branch_labels = None
depends_on = None

MOVES = """
INSERT INTO public.legal_move (machine, source, target) VALUES
    ('directive', 'succeeded', 'failed'),
    ('effect', 'sent', 'failed');
"""


def upgrade() -> None:
    """Forward only: there is no downgrade."""
    op.execute(MOVES)

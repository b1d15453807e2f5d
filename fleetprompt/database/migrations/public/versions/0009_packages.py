"""The legal moves of an installation that waits for settings, and of an upgrade.

An upgrade ends at the new version or at the old one, running or at rest as before, never failed; what waits for
settings is tried again, and does not fall over by waiting.

Revision ID: public_0009
Revises: public_0008
"""

from alembic import op

revision = "public_0009"
down_revision = "public_0008"
branch_labels = None
depends_on = None

MOVES = """
INSERT INTO public.legal_move (machine, source, target) VALUES
    ('installation', 'requested', 'needs_config'),
    ('installation', 'disabled', 'upgrading'),
    ('installation', 'upgrading', 'disabled');
DELETE FROM public.legal_move WHERE machine = 'installation' AND (source, target) IN (
    ('needs_config', 'installed'),
    ('needs_config', 'failed'),
    ('upgrading', 'failed')
);
"""


def upgrade() -> None:
    """Forward only: there is no downgrade."""
    op.execute(MOVES)

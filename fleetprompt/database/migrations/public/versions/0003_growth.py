"""What keeps the registry fast and its tenants apart as they grow.

Revision ID: public_0003
Revises: public_0002
"""

from alembic import op

revision = "public_0003"
down_revision = "public_0002"
branch_labels = None
depends_on = None

MOVES = """
INSERT INTO public.legal_move (machine, source, target) VALUES
    ('organization', 'creating', 'deleting'),
    ('organization', 'failed', 'deleting'),
    ('organization', 'active', 'deleting'),
    ('organization', 'suspended', 'deleting');
"""


def upgrade() -> None:
    """Forward only: there is no downgrade."""
    op.execute(MOVES)

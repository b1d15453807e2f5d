"""What keeps a tenant's tables fast as they grow.

Revision ID: tenant_0003
Revises: tenant_0002
"""

from alembic import op

revision = "tenant_0003"
down_revision = "tenant_0002"
branch_labels = None
depends_on = None

# By default a table is vacuumed when a fifth of it is dead: of a million signals, that is two hundred thousand.
VACUUM = """
ALTER TABLE signals SET (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE signal_raw SET (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE messages SET (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE executions SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE directives SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE effects SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05);
"""
# One row an installation, written again every few seconds: a half-empty page takes the next version without an index.
REWRITTEN = """
ALTER TABLE installation_health SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
ALTER TABLE installation_cursors SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
"""


def upgrade() -> None:
    """Forward only: there is no downgrade."""
    for part in (VACUUM, REWRITTEN):
        op.execute(part)

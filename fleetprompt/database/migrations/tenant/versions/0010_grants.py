"""What an installation provides (agents, the skills it teaches them), and the scopes that it and agents were granted.

Revision ID: tenant_0010
Revises: tenant_0009
"""

from alembic import op

revision = "tenant_0010"
down_revision = "tenant_0009"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE grants (
    installation_id UUID NOT NULL,
    scope TEXT NOT NULL,
    required BOOLEAN NOT NULL,
    granted_by TEXT NOT NULL,
    granted_at timestamptz DEFAULT now() NOT NULL,
    PRIMARY KEY (installation_id, scope),
    FOREIGN KEY(installation_id) REFERENCES installations (id) ON DELETE CASCADE
);

ALTER TABLE agents ADD COLUMN scopes TEXT[] DEFAULT '{}' NOT NULL;
ALTER TABLE agents ADD COLUMN skills JSONB DEFAULT '[]' NOT NULL;
ALTER TABLE agents ADD COLUMN installation_id UUID;
ALTER TABLE agents ADD COLUMN provisioned JSONB;
"""

# What is in use goes on: each agent's tools were given by an administrator. What installations were granted is in their
# manifests, which a tenant's role cannot read: `fleetprompt.packages.grants.complete` writes it after this.
GRANTED = """
UPDATE agents SET scopes = ARRAY(
    SELECT DISTINCT needed.scope FROM (VALUES
        ('orders.lookup', 'orders:read'), ('orders.list', 'orders:read'), ('orders.hold', 'orders:write')
    ) AS needed (tool, scope) WHERE needed.tool = ANY(agents.tools) ORDER BY needed.scope
);
"""

INDEXES = """
CREATE INDEX agents_installation ON agents (installation_id) WHERE installation_id IS NOT NULL;
CREATE INDEX workflows_installation ON workflows (installation_id) WHERE installation_id IS NOT NULL;
"""


def upgrade() -> None:
    """Forward only: there is no downgrade."""
    for statements in (TABLES, GRANTED, INDEXES):
        op.execute(statements)

"""Workflows and their runs.

Revision ID: tenant_0002
Revises: tenant_0001
"""

from alembic import op

revision = "tenant_0002"
down_revision = "tenant_0001"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE workflows (
    id UUID NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    version BIGINT NOT NULL,
    signal_pattern TEXT NOT NULL,
    installation_id UUID,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE workflow_versions (
    workflow_id UUID NOT NULL,
    version BIGINT NOT NULL,
    digest TEXT NOT NULL,
    definition JSONB NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    PRIMARY KEY (workflow_id, version),
    FOREIGN KEY(workflow_id) REFERENCES workflows (id) ON DELETE CASCADE
);

CREATE TABLE workflow_runs (
    id UUID NOT NULL,
    workflow_id UUID NOT NULL,
    version BIGINT NOT NULL,
    idempotency_key TEXT NOT NULL,
    state TEXT NOT NULL,
    signal_id UUID NOT NULL,
    signal JSONB NOT NULL,
    correlation_id UUID NOT NULL,
    installation_id UUID,
    conversation_id UUID,
    depth BIGINT NOT NULL,
    lane TEXT,
    position BIGINT DEFAULT 0 NOT NULL,
    error_code TEXT,
    error TEXT,
    created_at timestamptz DEFAULT now() NOT NULL,
    started_at timestamptz,
    finished_at timestamptz,
    PRIMARY KEY (id),
    FOREIGN KEY(workflow_id, version) REFERENCES workflow_versions (workflow_id, version),
    UNIQUE (idempotency_key)
);

CREATE TABLE workflow_steps (
    id UUID NOT NULL,
    run_id UUID NOT NULL,
    index BIGINT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    round BIGINT DEFAULT 0 NOT NULL,
    input JSONB,
    result JSONB,
    directive_id UUID,
    execution_id UUID,
    signal_id UUID,
    wake_at timestamptz,
    error_code TEXT,
    error TEXT,
    created_at timestamptz DEFAULT now() NOT NULL,
    started_at timestamptz,
    finished_at timestamptz,
    PRIMARY KEY (id),
    FOREIGN KEY(run_id) REFERENCES workflow_runs (id) ON DELETE CASCADE,
    UNIQUE (run_id, index)
);
"""

INDEXES = """
CREATE UNIQUE INDEX workflows_name ON workflows (lower(name)) WHERE state <> 'archived';
CREATE INDEX workflow_runs_workflow ON workflow_runs (workflow_id, version, id);
CREATE INDEX workflow_runs_open ON workflow_runs (id) WHERE state IN ('queued', 'running', 'waiting');
CREATE INDEX workflow_runs_correlation ON workflow_runs (correlation_id);
CREATE INDEX workflow_runs_created ON workflow_runs (created_at);
CREATE INDEX workflow_steps_directive ON workflow_steps (directive_id) WHERE directive_id IS NOT NULL;
CREATE INDEX workflow_steps_execution ON workflow_steps (execution_id) WHERE execution_id IS NOT NULL;
"""

GUARDS = """
CREATE TRIGGER immutable BEFORE UPDATE ON workflow_versions FOR EACH ROW EXECUTE FUNCTION public.refuse_update();
CREATE TRIGGER guard_move BEFORE UPDATE OF state ON workflows FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION public.guard_move('workflow');
CREATE TRIGGER guard_move BEFORE UPDATE OF state ON workflow_runs FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION public.guard_move('workflow_run');
CREATE TRIGGER guard_move BEFORE UPDATE OF state ON workflow_steps FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION public.guard_move('workflow_step');
"""


def upgrade() -> None:
    """Forward only: there is no downgrade."""
    for part in (TABLES, INDEXES, GUARDS):
        op.execute(part)

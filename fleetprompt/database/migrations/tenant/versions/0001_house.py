"""A tenant's house: signals, directives, executions, conversations, agents, installations.

Revision ID: tenant_0001
Revises:

Runs as the tenant's role with the tenant's schema as search path, so no name below carries a schema.
"""

from alembic import op

revision = "tenant_0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE agents (
    id UUID NOT NULL,
    name TEXT NOT NULL,
    purpose TEXT NOT NULL,
    instructions TEXT NOT NULL,
    tools TEXT[] NOT NULL,
    model TEXT,
    limits JSONB NOT NULL,
    policies JSONB NOT NULL,
    state TEXT NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE conversations (
    id UUID NOT NULL,
    installation_id UUID NOT NULL,
    channel_id TEXT NOT NULL,
    thread_id TEXT NOT NULL,
    channel_kind TEXT NOT NULL,
    channel_name TEXT NOT NULL,
    agent_id UUID,
    created_at timestamptz DEFAULT now() NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (installation_id, channel_id, thread_id)
);

CREATE TABLE directives (
    id UUID NOT NULL,
    name TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    state TEXT NOT NULL,
    arguments JSONB NOT NULL,
    arguments_digest TEXT NOT NULL,
    summary TEXT NOT NULL,
    actor_kind TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    actor_name TEXT NOT NULL,
    correlation_id UUID NOT NULL,
    causation_id UUID,
    execution_id UUID,
    installation_id UUID,
    conversation_id UUID,
    lane TEXT,
    position BIGINT DEFAULT 0 NOT NULL,
    attempt BIGINT DEFAULT 0 NOT NULL,
    failures BIGINT DEFAULT 0 NOT NULL,
    approval_reason TEXT,
    approval_expires_at timestamptz,
    approved_by TEXT,
    approved_digest TEXT,
    result JSONB,
    error_code TEXT,
    error TEXT,
    created_at timestamptz DEFAULT now() NOT NULL,
    started_at timestamptz,
    finished_at timestamptz,
    PRIMARY KEY (id),
    UNIQUE (idempotency_key)
);

CREATE TABLE installations (
    id UUID NOT NULL,
    package TEXT NOT NULL,
    version TEXT NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    config JSONB NOT NULL,
    account JSONB NOT NULL,
    start_at_ms BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    error TEXT,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE signals (
    id UUID NOT NULL,
    name TEXT NOT NULL,
    dedupe_key TEXT,
    correlation_id UUID NOT NULL,
    causation_id UUID,
    actor_kind TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    actor_name TEXT NOT NULL,
    installation_id UUID,
    conversation_id UUID,
    payload JSONB NOT NULL,
    retention TEXT NOT NULL,
    occurred_at timestamptz NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (dedupe_key)
);

CREATE TABLE credentials (
    id UUID NOT NULL,
    installation_id UUID NOT NULL,
    name TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(installation_id) REFERENCES installations (id)
);

CREATE TABLE effects (
    id UUID NOT NULL,
    directive_id UUID NOT NULL,
    part BIGINT NOT NULL,
    key TEXT NOT NULL,
    state TEXT NOT NULL,
    request JSONB NOT NULL,
    receipt JSONB,
    tries BIGINT DEFAULT 0 NOT NULL,
    error TEXT,
    first_tried_at timestamptz,
    finished_at timestamptz,
    created_at timestamptz DEFAULT now() NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (directive_id, part),
    FOREIGN KEY(directive_id) REFERENCES directives (id) ON DELETE CASCADE,
    UNIQUE (key)
);

CREATE TABLE executions (
    id UUID NOT NULL,
    agent_id UUID NOT NULL,
    conversation_id UUID,
    installation_id UUID,
    signal_id UUID,
    directive_id UUID,
    idempotency_key TEXT NOT NULL,
    correlation_id UUID NOT NULL,
    state TEXT NOT NULL,
    input JSONB NOT NULL,
    output TEXT,
    error_code TEXT,
    error TEXT,
    model TEXT NOT NULL,
    limits JSONB NOT NULL,
    steps BIGINT DEFAULT 0 NOT NULL,
    tool_calls BIGINT DEFAULT 0 NOT NULL,
    input_tokens BIGINT DEFAULT 0 NOT NULL,
    output_tokens BIGINT DEFAULT 0 NOT NULL,
    cost_usd NUMERIC(18, 9) DEFAULT 0,
    model_failures BIGINT DEFAULT 0 NOT NULL,
    on_fallback BOOLEAN DEFAULT false NOT NULL,
    round BIGINT DEFAULT 0 NOT NULL,
    shortened BIGINT DEFAULT 0 NOT NULL,
    tainted BOOLEAN DEFAULT false NOT NULL,
    lane TEXT,
    position BIGINT DEFAULT 0 NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    started_at timestamptz,
    finished_at timestamptz,
    PRIMARY KEY (id),
    FOREIGN KEY(agent_id) REFERENCES agents (id),
    UNIQUE (idempotency_key)
);

CREATE TABLE installation_cursors (
    installation_id UUID NOT NULL,
    cursor TEXT NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    PRIMARY KEY (installation_id),
    FOREIGN KEY(installation_id) REFERENCES installations (id)
);

CREATE TABLE installation_health (
    installation_id UUID NOT NULL,
    state TEXT NOT NULL,
    since timestamptz NOT NULL,
    last_event_at timestamptz,
    backlog BIGINT DEFAULT 0 NOT NULL,
    last_error TEXT,
    last_error_code TEXT,
    last_error_at timestamptz,
    remedy TEXT,
    blocked_until timestamptz,
    failures BIGINT DEFAULT 0 NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    PRIMARY KEY (installation_id),
    FOREIGN KEY(installation_id) REFERENCES installations (id)
);

CREATE TABLE messages (
    id UUID NOT NULL,
    conversation_id UUID NOT NULL,
    installation_id UUID NOT NULL,
    external_id TEXT NOT NULL,
    author_kind TEXT NOT NULL,
    author_id TEXT NOT NULL,
    author_name TEXT NOT NULL,
    text TEXT NOT NULL,
    signal_id UUID,
    directive_id UUID,
    sent_at_ms BIGINT NOT NULL,
    edited BOOLEAN DEFAULT false NOT NULL,
    deleted BOOLEAN DEFAULT false NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (installation_id, external_id),
    FOREIGN KEY(conversation_id) REFERENCES conversations (id)
);

CREATE TABLE signal_raw (
    signal_id UUID NOT NULL,
    body BYTEA NOT NULL,
    PRIMARY KEY (signal_id),
    FOREIGN KEY(signal_id) REFERENCES signals (id) ON DELETE CASCADE
);

CREATE TABLE execution_steps (
    execution_id UUID NOT NULL,
    step BIGINT NOT NULL,
    model TEXT NOT NULL,
    reply JSONB NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    PRIMARY KEY (execution_id, step),
    FOREIGN KEY(execution_id) REFERENCES executions (id) ON DELETE CASCADE
);

CREATE TABLE model_calls (
    id UUID NOT NULL,
    execution_id UUID NOT NULL,
    step BIGINT NOT NULL,
    model TEXT NOT NULL,
    outcome TEXT NOT NULL,
    detail TEXT,
    input_tokens BIGINT,
    output_tokens BIGINT,
    cost_usd NUMERIC(18, 9),
    latency_ms BIGINT,
    created_at timestamptz DEFAULT now() NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(execution_id) REFERENCES executions (id) ON DELETE CASCADE
);

CREATE TABLE tool_calls (
    id UUID NOT NULL,
    execution_id UUID NOT NULL,
    step BIGINT NOT NULL,
    index BIGINT NOT NULL,
    tool TEXT NOT NULL,
    arguments JSONB,
    side_effect TEXT NOT NULL,
    state TEXT NOT NULL,
    result TEXT,
    directive_id UUID,
    created_at timestamptz DEFAULT now() NOT NULL,
    finished_at timestamptz,
    PRIMARY KEY (id),
    UNIQUE (execution_id, step, index),
    FOREIGN KEY(execution_id) REFERENCES executions (id) ON DELETE CASCADE
);
"""

INDEXES = """
CREATE UNIQUE INDEX agents_name ON agents (lower(name)) WHERE state <> 'archived';
CREATE INDEX signals_name ON signals (name, id);
CREATE INDEX signals_correlation ON signals (correlation_id);
CREATE INDEX signals_retention ON signals (retention, created_at);
CREATE INDEX directives_open ON directives (id) WHERE state NOT IN ('succeeded', 'canceled');
CREATE INDEX directives_installation ON directives (installation_id, state);
CREATE INDEX directives_approval ON directives (approval_expires_at) WHERE state = 'awaiting_approval';
CREATE INDEX directives_execution ON directives (execution_id);
CREATE INDEX directives_correlation ON directives (correlation_id);
CREATE INDEX executions_open ON executions (id) WHERE state IN ('queued', 'running', 'waiting');
CREATE INDEX executions_correlation ON executions (correlation_id);
CREATE INDEX executions_agent ON executions (agent_id, created_at);
CREATE INDEX executions_created ON executions (created_at);
CREATE INDEX executions_conversation ON executions (conversation_id, position);
CREATE INDEX executions_signal ON executions (signal_id);
CREATE INDEX tool_calls_directive ON tool_calls (directive_id) WHERE directive_id IS NOT NULL;
CREATE INDEX messages_conversation ON messages (conversation_id, sent_at_ms, id);
CREATE INDEX model_calls_execution ON model_calls (execution_id, step);
CREATE INDEX model_calls_created ON model_calls (created_at) WHERE cost_usd IS NOT NULL;
CREATE UNIQUE INDEX credentials_name ON credentials (installation_id, name);
CREATE UNIQUE INDEX installations_live ON installations (package, name) WHERE state <> 'uninstalled';
"""

GUARDS = """
CREATE TRIGGER immutable BEFORE UPDATE ON signals FOR EACH ROW EXECUTE FUNCTION public.refuse_update();
CREATE TRIGGER guard_move BEFORE UPDATE OF state ON agents FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION public.guard_move('agent');
CREATE TRIGGER guard_move BEFORE UPDATE OF state ON installations FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION public.guard_move('installation');
CREATE TRIGGER guard_move BEFORE UPDATE OF state ON executions FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION public.guard_move('execution');
CREATE TRIGGER guard_move BEFORE UPDATE OF state ON directives FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION public.guard_move('directive');
CREATE TRIGGER guard_move BEFORE UPDATE OF state ON effects FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION public.guard_move('effect');
"""


def upgrade() -> None:
    """Forward only: there is no downgrade."""
    for part in (TABLES, INDEXES, GUARDS):
        op.execute(part)

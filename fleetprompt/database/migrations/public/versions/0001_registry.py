"""The registry: organizations, users, connections, jobs, and the legal moves of every state machine.

Revision ID: public_0001
Revises:
"""

from alembic import op

revision = "public_0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE public.connections (
    installation_id UUID NOT NULL,
    tenant TEXT NOT NULL,
    connector TEXT NOT NULL,
    account_key TEXT NOT NULL,
    enabled BOOLEAN NOT NULL,
    generation BIGINT NOT NULL,
    holder TEXT,
    lease_until timestamptz,
    created_at timestamptz DEFAULT now() NOT NULL,
    PRIMARY KEY (installation_id),
    UNIQUE (account_key)
);

CREATE TABLE public.job (
    id UUID NOT NULL,
    tenant TEXT NOT NULL,
    kind TEXT NOT NULL,
    args JSONB NOT NULL,
    lane TEXT,
    position BIGINT DEFAULT 0 NOT NULL,
    state TEXT DEFAULT 'available' NOT NULL,
    priority BIGINT DEFAULT 0 NOT NULL,
    attempt BIGINT DEFAULT 0 NOT NULL,
    max_attempts BIGINT DEFAULT 8 NOT NULL,
    scheduled_at timestamptz DEFAULT now() NOT NULL,
    lease_until timestamptz,
    worker TEXT,
    unique_key TEXT,
    correlation_id UUID,
    last_error TEXT,
    created_at timestamptz DEFAULT now() NOT NULL,
    finished_at timestamptz,
    PRIMARY KEY (id)
);

CREATE TABLE public.organizations (
    id UUID NOT NULL,
    slug TEXT NOT NULL,
    name TEXT NOT NULL,
    plan TEXT DEFAULT 'free' NOT NULL,
    limits JSONB NOT NULL,
    state TEXT NOT NULL,
    schema_revision TEXT,
    schema_error TEXT,
    schema_attempted_at timestamptz,
    wrapped_key BYTEA,
    created_at timestamptz DEFAULT now() NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (slug)
);

CREATE TABLE public.schedule (
    name TEXT NOT NULL,
    tenant TEXT NOT NULL,
    kind TEXT NOT NULL,
    cron TEXT NOT NULL,
    next_at timestamptz NOT NULL,
    last_at timestamptz,
    PRIMARY KEY (name, tenant)
);

CREATE TABLE public.users (
    id UUID NOT NULL,
    email TEXT NOT NULL,
    name TEXT NOT NULL,
    external_subject TEXT,
    created_at timestamptz DEFAULT now() NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (email),
    UNIQUE (external_subject)
);

CREATE UNLOGGED TABLE public.worker (
    id TEXT NOT NULL,
    idle BOOLEAN NOT NULL,
    seen_at timestamptz DEFAULT now() NOT NULL,
    started_at timestamptz DEFAULT now() NOT NULL,
    host TEXT NOT NULL,
    pid BIGINT NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE public.memberships (
    user_id UUID NOT NULL,
    organization_id UUID NOT NULL,
    role TEXT NOT NULL,
    status TEXT DEFAULT 'active' NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    PRIMARY KEY (user_id, organization_id),
    FOREIGN KEY(user_id) REFERENCES public.users (id),
    FOREIGN KEY(organization_id) REFERENCES public.organizations (id)
);

CREATE TABLE public.legal_move (
    machine TEXT NOT NULL,
    source TEXT NOT NULL,
    target TEXT NOT NULL,
    PRIMARY KEY (machine, source, target)
);
"""

MOVES = """
INSERT INTO public.legal_move (machine, source, target) VALUES
    ('organization', 'creating', 'active'),
    ('organization', 'creating', 'failed'),
    ('organization', 'failed', 'creating'),
    ('organization', 'active', 'suspended'),
    ('organization', 'suspended', 'active'),
    ('agent', 'active', 'archived'),
    ('agent', 'active', 'paused'),
    ('agent', 'paused', 'active'),
    ('agent', 'paused', 'archived'),
    ('installation', 'requested', 'failed'),
    ('installation', 'requested', 'installing'),
    ('installation', 'installing', 'failed'),
    ('installation', 'installing', 'installed'),
    ('installation', 'installing', 'needs_config'),
    ('installation', 'needs_config', 'failed'),
    ('installation', 'needs_config', 'installed'),
    ('installation', 'needs_config', 'installing'),
    ('installation', 'needs_config', 'uninstalling'),
    ('installation', 'installed', 'disabled'),
    ('installation', 'installed', 'uninstalling'),
    ('installation', 'installed', 'upgrading'),
    ('installation', 'disabled', 'installed'),
    ('installation', 'disabled', 'uninstalling'),
    ('installation', 'upgrading', 'failed'),
    ('installation', 'upgrading', 'installed'),
    ('installation', 'failed', 'installing'),
    ('installation', 'failed', 'uninstalling'),
    ('installation', 'uninstalling', 'failed'),
    ('installation', 'uninstalling', 'uninstalled'),
    ('execution', 'queued', 'canceled'),
    ('execution', 'queued', 'failed'),
    ('execution', 'queued', 'running'),
    ('execution', 'running', 'canceled'),
    ('execution', 'running', 'failed'),
    ('execution', 'running', 'succeeded'),
    ('execution', 'running', 'waiting'),
    ('execution', 'waiting', 'canceled'),
    ('execution', 'waiting', 'failed'),
    ('execution', 'waiting', 'running'),
    ('execution', 'failed', 'queued'),
    ('directive', 'awaiting_approval', 'canceled'),
    ('directive', 'awaiting_approval', 'requested'),
    ('directive', 'requested', 'canceled'),
    ('directive', 'requested', 'failed'),
    ('directive', 'requested', 'running'),
    ('directive', 'running', 'failed'),
    ('directive', 'running', 'outcome_unknown'),
    ('directive', 'running', 'requested'),
    ('directive', 'running', 'succeeded'),
    ('directive', 'outcome_unknown', 'requested'),
    ('directive', 'outcome_unknown', 'succeeded'),
    ('directive', 'failed', 'requested'),
    ('effect', 'planned', 'sending'),
    ('effect', 'sending', 'failed'),
    ('effect', 'sending', 'planned'),
    ('effect', 'sending', 'sent'),
    ('effect', 'sending', 'unknown'),
    ('effect', 'unknown', 'planned'),
    ('effect', 'unknown', 'sent'),
    ('effect', 'failed', 'planned'),
    ('job', 'available', 'dead'),
    ('job', 'available', 'dispatched'),
    ('job', 'available', 'running'),
    ('job', 'dispatched', 'available'),
    ('job', 'dispatched', 'running'),
    ('job', 'running', 'available'),
    ('job', 'running', 'dead'),
    ('job', 'dead', 'available');
"""

GUARDS = """
CREATE FUNCTION public.guard_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM public.legal_move
        WHERE machine = TG_ARGV[0] AND source = OLD.state AND target = NEW.state
    ) THEN
        RAISE EXCEPTION 'illegal move of a %: % to %', TG_ARGV[0], OLD.state, NEW.state
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.refuse_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% rows are immutable', TG_TABLE_NAME USING ERRCODE = 'check_violation';
END $$;

CREATE TRIGGER guard_move BEFORE UPDATE OF state ON public.organizations FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION public.guard_move('organization');

-- The move that every job makes is known to be legal; the look-up is spared on the hot path.
CREATE TRIGGER guard_move BEFORE UPDATE OF state ON public.job FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state AND NOT (OLD.state = 'available' AND NEW.state = 'running'))
    EXECUTE FUNCTION public.guard_move('job');
"""

JOBS = """
CREATE INDEX job_claim ON public.job (tenant, priority, scheduled_at, id) WHERE state = 'available';
CREATE INDEX job_lane ON public.job (lane, position, id) WHERE state IN ('available', 'dispatched') AND lane IS NOT NULL;
CREATE UNIQUE INDEX job_lane_running ON public.job (lane) WHERE state = 'running' AND lane IS NOT NULL;
-- A dead letter keeps its key, but keeps nobody from asking again.
CREATE UNIQUE INDEX job_unique_key ON public.job (unique_key) WHERE state <> 'dead';
CREATE INDEX job_lease ON public.job (lease_until) WHERE state = 'running';
CREATE INDEX job_tenant ON public.job (tenant, state);
ALTER TABLE public.job SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);

-- Only sleepers are woken: NOTIFY takes a lock at commit that halves the commit rate at 32 clients.
CREATE FUNCTION public.wake_a_sleeper() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM public.worker WHERE idle) THEN
        PERFORM pg_notify('fleetprompt_job', '');
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER wake_a_sleeper AFTER INSERT ON public.job FOR EACH STATEMENT
    EXECUTE FUNCTION public.wake_a_sleeper();
"""

RIGHTS = """
DO $$ BEGIN
    CREATE ROLE fleetprompt_tenant NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;

GRANT USAGE ON SCHEMA public TO fleetprompt_tenant;
GRANT SELECT ON public.legal_move TO fleetprompt_tenant;
GRANT INSERT ON public.job TO fleetprompt_tenant;
GRANT SELECT (slug, limits) ON public.organizations TO fleetprompt_tenant;
ALTER TABLE public.organizations ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_row ON public.organizations FOR SELECT TO fleetprompt_tenant
    USING ('r_org_' || slug = current_user);
ALTER TABLE public.job ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON public.job FOR INSERT TO fleetprompt_tenant
    WITH CHECK ('r_org_' || tenant = current_user
        -- Lanes and keys are shared by all tenants: a foreign one would hold another tenant's jobs up.
        AND starts_with(coalesce(lane, tenant || ':'), tenant || ':')
        AND starts_with(coalesce(unique_key, tenant || ':'), tenant || ':'));
"""


def upgrade() -> None:
    """Forward only: there is no downgrade."""
    for part in (TABLES, MOVES, GUARDS, JOBS, RIGHTS):
        op.execute(part)

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

INDEXES = """
-- A claim hops from tenant to tenant and, within one, from kind to kind: kinds that a worker does not know cost a hop.
DROP INDEX public.job_claim;
CREATE INDEX job_claim ON public.job (tenant, kind, priority, scheduled_at, id) WHERE state = 'available';
-- Lanes in an order that has nothing to do with what they are called, so that one can begin anywhere among them.
CREATE INDEX job_lanes ON public.job (tenant, hashtext(lane), lane)
    WHERE state IN ('available', 'dispatched') AND lane IS NOT NULL;
"""

# What is written again at every heartbeat finds room on its own page, and needs no entry in an index.
VACUUM = """
ALTER TABLE public.job SET (autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0.1);
ALTER TABLE public.connections SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_threshold = 500);
ALTER TABLE public.worker SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);
"""

# A claim costs about the same with sixty thousand jobs waiting as with sixty, whatever they wait for. A tenant's first
# forty due jobs are looked at; if all there are behind others of their lanes, then a few dozen lanes from anywhere,
# each by its head alone. Used by whoever claims and by whoever hands out to a broker.
DUE_JOBS = """
CREATE FUNCTION public.due_jobs(of_tenant text, known text[], most bigint) RETURNS SETOF uuid LANGUAGE plpgsql AS $$
DECLARE
    of_organization record;
    room bigint := most;
    present text[];
    first_due uuid[];
    found_so_far bigint;
BEGIN
    SELECT state, (limits->>'running_jobs')::bigint AS running_jobs INTO of_organization
        FROM public.organizations WHERE slug = of_tenant;
    IF of_organization.state IN ('suspended', 'deleting') THEN RETURN; END IF;
    IF of_organization.running_jobs IS NOT NULL THEN
        -- One claim at a time for a tenant with a limit: the next one counts what this one took.
        IF NOT pg_try_advisory_xact_lock(hashtextextended('running_jobs:' || of_tenant, 0)) THEN RETURN; END IF;
        room := least(room, of_organization.running_jobs - (SELECT count(*) FROM public.job
            WHERE tenant = of_tenant AND state IN ('running', 'dispatched')));
    END IF;
    IF room <= 0 THEN RETURN; END IF;

    WITH RECURSIVE hop AS (
        (SELECT kind FROM public.job WHERE tenant = of_tenant AND state = 'available' ORDER BY kind LIMIT 1)
        UNION ALL
        SELECT (SELECT j.kind FROM public.job j WHERE j.tenant = of_tenant AND j.state = 'available'
            AND j.kind > hop.kind ORDER BY j.kind LIMIT 1)
        FROM hop WHERE hop.kind IS NOT NULL)
    SELECT array_agg(kind) INTO present FROM hop WHERE kind = ANY(known);

    first_due := ARRAY(SELECT one.id FROM unnest(present) AS of_kind CROSS JOIN LATERAL (
            SELECT j.id, j.priority, j.scheduled_at FROM public.job j
            WHERE j.tenant = of_tenant AND j.kind = of_kind AND j.state = 'available' AND j.scheduled_at <= now()
            ORDER BY j.priority, j.scheduled_at, j.id LIMIT 40) one
        ORDER BY one.priority, one.scheduled_at, one.id LIMIT 40);
    RETURN QUERY SELECT j.id FROM public.job j
        WHERE j.id = ANY(first_due) AND j.state = 'available' AND (j.lane IS NULL OR (
            NOT EXISTS (SELECT FROM public.job r WHERE r.lane = j.lane AND r.state = 'running')
            AND NOT EXISTS (SELECT FROM public.job e WHERE e.lane = j.lane AND e.state IN ('available', 'dispatched')
                AND (e.position, e.id) < (j.position, j.id))))
        ORDER BY j.priority, j.scheduled_at, j.id LIMIT room FOR UPDATE OF j SKIP LOCKED;
    GET DIAGNOSTICS found_so_far = ROW_COUNT;
    IF found_so_far >= room OR cardinality(first_due) < 40 THEN RETURN; END IF;

    RETURN QUERY WITH RECURSIVE start AS (
        SELECT unnest(ARRAY[-2147483648, (random() * 4294967295 - 2147483648)::int]) AS hash),
    hop AS (
        SELECT n.hash, n.lane, 1 AS number FROM start CROSS JOIN LATERAL (
            SELECT hashtext(j.lane) AS hash, j.lane FROM public.job j
            WHERE j.tenant = of_tenant AND j.state IN ('available', 'dispatched') AND j.lane IS NOT NULL
                AND hashtext(j.lane) >= start.hash
            ORDER BY hashtext(j.lane), j.lane LIMIT 1) n
        UNION ALL
        SELECT n.hash, n.lane, hop.number + 1 FROM hop CROSS JOIN LATERAL (
            SELECT hashtext(j.lane) AS hash, j.lane FROM public.job j
            WHERE j.tenant = of_tenant AND j.state IN ('available', 'dispatched') AND j.lane IS NOT NULL
                AND (hashtext(j.lane), j.lane) > (hop.hash, hop.lane)
            ORDER BY hashtext(j.lane), j.lane LIMIT 1) n
        WHERE hop.number < 24),
    head AS (
        SELECT h.id FROM (SELECT DISTINCT lane FROM hop) l CROSS JOIN LATERAL (
            SELECT e.id FROM public.job e WHERE e.lane = l.lane AND e.state IN ('available', 'dispatched')
            ORDER BY e.position, e.id LIMIT 1) h
        WHERE NOT EXISTS (SELECT FROM public.job r WHERE r.lane = l.lane AND r.state = 'running'))
    SELECT j.id FROM public.job j JOIN head ON head.id = j.id
        WHERE j.state = 'available' AND j.scheduled_at <= now() AND j.kind = ANY(known) AND j.id <> ALL(first_due)
        LIMIT room - found_so_far FOR UPDATE OF j SKIP LOCKED;
END $$;
"""


def upgrade() -> None:
    """Forward only: there is no downgrade."""
    for part in (MOVES, INDEXES, VACUUM, DUE_JOBS):
        op.execute(part)

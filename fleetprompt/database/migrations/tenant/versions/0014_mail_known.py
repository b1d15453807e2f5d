"""A mail whose fact is not kept any more is known again, or a rebuilt mailbox would have it answered twice.

Revision ID: tenant_0014
Revises: tenant_0013
"""

from alembic import op

revision = "tenant_0014"
down_revision = "tenant_0013"
branch_labels = None
depends_on = None

TABLE = """
CREATE TABLE IF NOT EXISTS mail_known (
    digest BYTEA NOT NULL,
    PRIMARY KEY (digest)
);
"""

# By the table itself: facts go with their retention, with the mailbox's own, by the hand of older processes, and by that of
# a person, whose search path may be another.
KEEPING = """
CREATE OR REPLACE FUNCTION keep_mail_keys() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format($statement$
        INSERT INTO %I.mail_known (digest)
            SELECT sha256(convert_to(gone.dedupe_key, 'UTF8')) FROM gone
            WHERE gone.name LIKE 'email.inbound.%%' AND gone.dedupe_key IS NOT NULL ORDER BY 1
            ON CONFLICT DO NOTHING
    $statement$, TG_TABLE_SCHEMA);
    RETURN NULL;
END $$;
DROP TRIGGER IF EXISTS keep_mail_keys ON signals;
CREATE TRIGGER keep_mail_keys AFTER DELETE ON signals REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION keep_mail_keys();
"""


def upgrade() -> None:
    """Forward only: there is no downgrade."""
    op.execute(TABLE)
    op.execute(KEEPING)

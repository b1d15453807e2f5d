"""One-time links for secrets, and secrets that are awaited in a chat.

Revision ID: tenant_0009
Revises: tenant_0008
"""

from alembic import op

revision = "tenant_0009"
down_revision = "tenant_0008"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE secret_links (
    id UUID NOT NULL,
    token_hash BYTEA NOT NULL,
    user_id UUID NOT NULL,
    installation_id UUID NOT NULL,
    credential TEXT NOT NULL,
    bound_to TEXT NOT NULL,
    asked_installation_id UUID,
    asked_subject TEXT,
    asked_conversation_id UUID,
    attempts BIGINT DEFAULT 0 NOT NULL,
    checking_until timestamptz,
    closed_because TEXT,
    expires_at timestamptz NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (token_hash),
    FOREIGN KEY(installation_id) REFERENCES installations (id) ON DELETE CASCADE
);
"""

INDEXES = """
CREATE UNIQUE INDEX secret_links_open ON secret_links (installation_id, credential, user_id)
    WHERE closed_because IS NULL;
CREATE INDEX secret_links_asked ON secret_links (asked_installation_id, expires_at);
"""


def upgrade() -> None:
    """Forward only: there is no downgrade."""
    op.execute(TABLES)
    op.execute(INDEXES)

"""Mail: the raw bytes in chunks, the names of threads, who takes part in them, and addresses that are not written to.

Revision ID: tenant_0005
Revises: tenant_0004
"""

from alembic import op

revision = "tenant_0005"
down_revision = "tenant_0004"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE mail_chunks (
    signal_id UUID NOT NULL,
    number BIGINT NOT NULL,
    body BYTEA NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    PRIMARY KEY (signal_id, number),
    FOREIGN KEY(signal_id) REFERENCES signals (id) ON DELETE CASCADE
);

CREATE TABLE mail_names (
    installation_id UUID NOT NULL,
    name TEXT NOT NULL,
    conversation_id UUID NOT NULL,
    directive_id UUID,
    created_at timestamptz DEFAULT now() NOT NULL,
    PRIMARY KEY (installation_id, name),
    FOREIGN KEY(conversation_id) REFERENCES conversations (id) ON DELETE CASCADE
);

CREATE TABLE mail_participants (
    conversation_id UUID NOT NULL,
    address TEXT NOT NULL,
    PRIMARY KEY (conversation_id, address),
    FOREIGN KEY(conversation_id) REFERENCES conversations (id) ON DELETE CASCADE
);

CREATE TABLE mail_suppressed (
    address TEXT NOT NULL,
    reason TEXT NOT NULL,
    directive_id UUID,
    signal_id UUID,
    created_at timestamptz DEFAULT now() NOT NULL,
    PRIMARY KEY (address)
);
"""

INDEXES = """
CREATE INDEX mail_names_conversation ON mail_names (conversation_id);
"""


def upgrade() -> None:
    """Forward only: there is no downgrade. Bodies are kept apart, since they may have to go earlier than the facts."""
    op.execute(TABLES)
    op.execute(INDEXES)

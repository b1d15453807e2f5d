"""People prove who they are: passwords, sessions, claim and link codes, identities in chats, API keys.

Revision ID: public_0007
Revises: public_0006
"""

from alembic import op

revision = "public_0007"
down_revision = "public_0006"
branch_labels = None
depends_on = None

# Whatever opens something is here as its hash alone.
TABLES = """
ALTER TABLE public.users ADD COLUMN password_hash TEXT, ADD COLUMN password_set_at timestamptz;

CREATE TABLE public.one_time_codes (
    id UUID NOT NULL,
    kind TEXT NOT NULL,
    organization_id UUID NOT NULL,
    user_id UUID NOT NULL,
    code_hash BYTEA NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    PRIMARY KEY (id),
    UNIQUE (code_hash),
    FOREIGN KEY(organization_id) REFERENCES public.organizations (id),
    FOREIGN KEY(user_id) REFERENCES public.users (id)
);
CREATE INDEX one_time_codes_user ON public.one_time_codes (user_id, kind);
CREATE INDEX one_time_codes_organization ON public.one_time_codes (organization_id);

CREATE TABLE public.web_sessions (
    id UUID NOT NULL,
    token_hash BYTEA NOT NULL,
    browser_hash BYTEA NOT NULL,
    user_id UUID NOT NULL,
    organization_id UUID,
    created_at timestamptz DEFAULT now() NOT NULL,
    seen_at timestamptz DEFAULT now() NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    PRIMARY KEY (id),
    UNIQUE (token_hash),
    FOREIGN KEY(user_id) REFERENCES public.users (id),
    FOREIGN KEY(organization_id) REFERENCES public.organizations (id)
);
CREATE INDEX web_sessions_user ON public.web_sessions (user_id);
CREATE INDEX web_sessions_organization ON public.web_sessions (organization_id);

CREATE TABLE public.identities (
    id UUID NOT NULL,
    organization_id UUID NOT NULL,
    user_id UUID NOT NULL,
    connector TEXT NOT NULL,
    server_key TEXT NOT NULL,
    subject TEXT NOT NULL,
    name TEXT NOT NULL,
    linked_at timestamptz DEFAULT now() NOT NULL,
    deactivated_at timestamptz,
    PRIMARY KEY (id),
    UNIQUE (organization_id, connector, server_key, subject),
    FOREIGN KEY(organization_id) REFERENCES public.organizations (id),
    FOREIGN KEY(user_id) REFERENCES public.users (id)
);
CREATE INDEX identities_user ON public.identities (user_id);

CREATE TABLE public.api_keys (
    id UUID NOT NULL,
    organization_id UUID NOT NULL,
    user_id UUID NOT NULL,
    name TEXT NOT NULL,
    hint TEXT NOT NULL,
    key_hash BYTEA NOT NULL,
    scopes TEXT[] NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    expires_at timestamptz NOT NULL,
    last_used_at timestamptz,
    revoked_at timestamptz,
    replaces UUID,
    PRIMARY KEY (id),
    UNIQUE (key_hash),
    FOREIGN KEY(organization_id) REFERENCES public.organizations (id),
    FOREIGN KEY(user_id) REFERENCES public.users (id)
);
CREATE INDEX api_keys_organization ON public.api_keys (organization_id);
CREATE INDEX api_keys_user ON public.api_keys (user_id);

CREATE TABLE public.attempts (
    key TEXT NOT NULL,
    count BIGINT NOT NULL,
    since timestamptz DEFAULT now() NOT NULL,
    PRIMARY KEY (key)
);
"""


def upgrade() -> None:
    """Forward only: there is no downgrade. Tenants get no rights here: the registry answers for them."""
    op.execute(TABLES)

"""Rows that tests put into a tenant's tables as they are."""

from __future__ import annotations

DIRECTIVE = (
    "insert into directives (id, name, idempotency_key, state, arguments, arguments_digest, summary, actor_kind,"
    " actor_id, actor_name, correlation_id) values (gen_random_uuid(), 'mattermost.post.create',"
    " gen_random_uuid()::text, $1, '{}', '', 'fleet answers dana.', 'agent', 'a', 'fleet', gen_random_uuid())"
)
"""$1: the state."""

"""Whether a secret stands where none may stand, looked for after every test.

Whatever tests and sandboxes use as a secret bears one mark: tokens of the sandbox Mattermost, the password of the
mailbox, people's passwords, keys of models, the master key. The mark is searched for in every column of every table of a
test's database before that is dropped, in whatever the test and its processes printed, in what commands said, in prompts
and in pages. A key for programs is known by its shape; the other secrets of the service's own making, and every door they
go through, have a scene of their own (`canary_scene`).
"""

from __future__ import annotations

import base64
import re
from typing import Final

import asyncpg
from sqlalchemy import make_url

from fleetprompt.sandbox.mattermost.ids import SECRET_MARK
from tests.database import asyncpg_arguments

API_KEY: Final = "fpk_[0-9A-Za-z_-]{40,}"


def _in_base64(mark: bytes) -> list[str]:
    """At each of the three places that it may begin; what depends on its neighbours is left out."""
    found = []
    for before in range(3):
        text = base64.b64encode(b"\0" * before + mark).decode().rstrip("=")
        first, last = -(-before * 8 // 6), (before + len(mark)) * 8 // 6
        found.append(text[first:last])
    return found


SPELLINGS: Final = [SECRET_MARK, SECRET_MARK.encode().hex(), *_in_base64(SECRET_MARK.encode())]
PATTERN: Final = re.compile("|".join([*SPELLINGS, API_KEY]))

# Tables that hold nothing are passed over. A tenant's tables are its own role's.
_SEARCH: Final = f"""
do $$
declare found text := ''; one record; rows bigint;
begin
    for one in
        select n.nspname as schema, c.relname as name, c.relowner::regrole::text as owner
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relkind in ('r', 'm') and n.nspname !~ '^pg_|^information_schema$' and pg_relation_size(c.oid) > 0
        order by 1, 2
    loop
        begin
            execute 'set local role ' || one.owner;
        exception when insufficient_privilege then continue;  -- of a test that logs in as somebody else
        end;
        execute format('select count(*) from %I.%I t where to_jsonb(t)::text ~ %L', one.schema, one.name, '{PATTERN.pattern}')
            into rows;
        if rows > 0 then found := found || format(' %s.%s (%s)', one.schema, one.name, rows); end if;
    end loop;
    if found <> '' then raise exception '%', found; end if;
end $$
"""


class SecretFound(AssertionError):
    """A secret stands where none may."""


async def search_tables(url: str) -> None:
    """Every table of every schema. Raises SecretFound, which names the tables."""
    connection = await asyncpg.connect(**asyncpg_arguments(make_url(url)))
    try:
        await connection.execute(_SEARCH)
    except asyncpg.RaiseError as error:
        raise SecretFound(f"a secret stands in{error}") from None
    finally:
        await connection.close()


def search_text(text: str, where: str) -> None:
    """Raises SecretFound with what stands around it."""
    found = PATTERN.search(text)
    if found is not None:
        around = text[max(0, found.start() - 80) : found.start()]
        raise SecretFound(f"a secret stands in {where}, behind {around!r}")

"""Bodies of mails are kept as long as the mailbox's own setting says: texts, attachments, raw bytes, and what was made of them.

Facts of incoming mail go whole, since a fact never changes, but for their keys (`mail_known`, by a trigger): told anew by
a rebuilt mailbox, a mail is not answered twice. Runs go whole, too. Of directives and effects, which are kept for the
audit, the words go and the digest stays; those of notices that told a chat of drafts, too. Ids are UUIDv7, so age is a range of the primary key.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from sqlalchemy import select, text

from fleetprompt.model import Installation
from fleetprompt.runtime.jobs.work import Work
from fleetprompt.runtime.registry import JobKind, Recurring
from fleetprompt.runtime.retention import oldest_id

NAME: Final = "mail.retention"
DAILY: Final = Recurring(NAME, NAME, "27 3 * * *")
BATCH: Final = 1_000
NOTICE: Final = "mail.notice:"  # begins their keys
DEFAULT_DAYS: Final = 30
OVER: Final = "state in ('succeeded', 'failed', 'canceled')"
_OLD = (
    "select id from {table} where installation_id = :installation_id and id < :bound and {which} limit :batch"
)


def _old(table: str, which: str) -> str:
    return _OLD.format(table=table, which=which)


# What a chat was told of a draft: a directive of the chat's installation, in the correlation of the mail.
_NOTICES: Final = (
    f"from directives n where n.idempotency_key like '{NOTICE}%' and n.id < :bound and n.{OVER}"
    " and exists (select 1 from directives m where m.correlation_id = n.correlation_id and m.name = 'email.send'"
    " and m.installation_id = :installation_id)"
)
_INBOUND: Final = "name in ('email.inbound.received', 'email.inbound.quarantined')"
# ruff: noqa: S608 - constants of this very file
_STATEMENTS: Final = (
    f"delete from signals where id in ({_old('signals', _INBOUND)})",
    "delete from mail_answers where execution_id in (select execution_id from mail_answers"
    " where installation_id = :installation_id and execution_id < :bound limit :batch)",
    f"delete from executions where id in ({_old('executions', OVER)})",
    "update messages set text = '', said_in_fact = false, deleted = true where id in ("
    + _old("messages", "(text <> '' or said_in_fact)")
    + ")",
    "update effects set request = request - 'raw' - 'text' where request ? 'raw' and directive_id in ("
    "select id from directives where name = 'email.send' and installation_id = :installation_id and id < :bound"
    f" and {OVER}) and id in (select id from effects where id < :bound and request ? 'raw' limit :batch)",
    "update directives set arguments = jsonb_set(arguments, '{text}', '\"\"') where id in ("
    + _old("directives", f"name = 'email.send' and {OVER} and arguments ->> 'text' <> ''")
    + ")",
    "update effects set request = jsonb_set(request, '{text}', '\"\"') where id in (select id from effects"
    f" where request ->> 'text' <> '' and directive_id in (select n.id {_NOTICES}) limit :batch)",
    "update messages set text = '', deleted = true where id in (select id from messages"
    f" where text <> '' and directive_id in (select n.id {_NOTICES}) limit :batch)",
    "update directives set arguments = jsonb_set(arguments, '{text}', '\"\"') where id in ("
    f"select n.id {_NOTICES} and n.arguments ->> 'text' <> '' limit :batch)",
)


def retention_kind(package: str) -> JobKind:
    """The recurring job."""

    async def retain(work: Work) -> None:
        async with work.step() as session:
            query = select(Installation.id, Installation.config).where(Installation.package == package)
            mailboxes: list[tuple[UUID, dict[str, Any]]] = [
                (row[0], row[1]) for row in await session.execute(query)
            ]
        for installation_id, config in mailboxes:
            bound = oldest_id(int(config.get("keep_bodies_days", DEFAULT_DAYS)))
            for statement in _STATEMENTS:
                while await _batch(work, statement, installation_id, bound) >= BATCH:
                    pass  # one statement takes all rows of the runs that it finds, so more than a batch

    return JobKind(NAME, retain)


async def _batch(work: Work, statement: str, installation_id: UUID, bound: UUID) -> int:
    async with work.step() as session:
        values = {"installation_id": installation_id, "bound": bound, "batch": BATCH}
        result = await session.execute(text(statement), values)
        return int(result.rowcount)  # type: ignore[attr-defined]

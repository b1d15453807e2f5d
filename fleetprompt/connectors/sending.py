"""What a person has to mend before an installation can send again.

Kept beside what its receiving side says of itself, which may be well meanwhile and writes every few seconds. It is over
once something was sent, or once a set-up test or new settings succeeded.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from sqlalchemy import text

from adapters.errors import AdapterError
from fleetprompt.connectors.health import ERROR_MS, ERROR_SIGNAL, advice_of
from fleetprompt.kernel import clock
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import Actor, NewSignal, emit
from fleetprompt.tenancy import TenantSession

TEST: Final = "When it is mended: fleetprompt package test {package} --org {org}"

_NOTE = text("""
update installation_health as h set sending_error = :error, sending_error_code = :code, sending_error_at = now(),
    sending_remedy = :remedy
from installations i where h.installation_id = :id and i.id = h.installation_id
    and (h.sending_error_code is distinct from :code or h.sending_error is distinct from :error)
returning i.generation
""")


async def note_fault(
    session: TenantSession, registry: Registry, package: str, installation_id: UUID, error: AdapterError
) -> None:
    """error: what a person has to mend. Told when it is another one than before."""
    remedy = _remedy(error, package, session.tenant)
    values = {"id": installation_id, "error": error.detail, "code": error.code, "remedy": remedy}
    generation = await session.scalar(_NOTE, values)
    if generation is None:
        return
    period = clock.now_ms() // ERROR_MS
    payload = {
        "installation_id": str(installation_id),
        "package": package,
        "error_code": error.code,
        "error": error.detail,
        "remedy": remedy,
    }
    new = NewSignal(
        ERROR_SIGNAL,
        payload,
        Actor("integration", str(installation_id), package),
        dedupe_key=f"{ERROR_SIGNAL}:{installation_id}:{generation}:sending:{error.code}:{period}",
        installation_id=installation_id,
    )
    await emit(session, registry, new)


def _remedy(error: AdapterError, package: str, org: str) -> str:
    advice = advice_of(error, package, org) or ""
    return f"{advice} {TEST.format(package=package, org=org)}".strip()

"""What an operator sees of a connection, written when it changes and otherwise now and then; and its signals."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import structlog
from sqlalchemy import text

from adapters.contract import ConnectionState
from adapters.errors import AdapterError, CredentialRefused, Remedy
from fleetprompt.connectors.leases import Held
from fleetprompt.database.engine import is_away
from fleetprompt.kernel import clock
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import Actor, NewSignal, emit
from fleetprompt.tenancy import Tenancy, TenantSession

log = structlog.get_logger("fleetprompt.listener")

ERROR: Final = "error"  # a person is needed
ERROR_SIGNAL: Final = "integration.error"
QUIET_WRITE_S = 5.0
LEAST_PAUSE_S = 0.3
FLAPPING_MS = 60_000  # one signal of a kind in so long
ERROR_MS = 600_000

_WRITE = text("""
insert into installation_health as h (installation_id, state, since, last_event_at, backlog,
    last_error, last_error_code, last_error_at, remedy)
values (:id, :state, now(), :last_event_at, :backlog, :error, :code,
    case when cast(:error as text) is null then null else now() end, :remedy)
on conflict (installation_id) do update set
    state = excluded.state, since = case when h.state = excluded.state then h.since else now() end,
    last_event_at = coalesce(excluded.last_event_at, h.last_event_at), backlog = excluded.backlog,
    last_error = coalesce(excluded.last_error, h.last_error),
    last_error_code = coalesce(excluded.last_error_code, h.last_error_code),
    last_error_at = coalesce(excluded.last_error_at, h.last_error_at),
    remedy = case when excluded.last_error is not null then excluded.remedy
        when excluded.state = 'connected' then null else h.remedy end,
    updated_at = now()
""")


class HealthRecorder:
    """Observes one connection; the adapter's observer. Its methods neither block nor raise; `run` writes.

    read_ahead: how many events were read and are not stored yet.
    """

    def __init__(self, tenancy: Tenancy, registry: Registry, held: Held) -> None:
        self._tenancy = tenancy
        self._registry = registry
        self._held = held
        self.state: str = ConnectionState.CONNECTING
        self._error: AdapterError | None = None
        self._waiting = 0
        self.read_ahead: Callable[[], int] = lambda: 0
        self._last_event_at: Any = None
        self._urgent = asyncio.Event()
        self._changed = True
        self._told: str | None = None

    def state_changed(self, state: ConnectionState, error: BaseException | None = None) -> None:
        """The adapter says so."""
        fault = error if isinstance(error, AdapterError) else None
        self._enter(state.value, fault)

    def backlog(self, waiting: int) -> None:
        """Events that the adapter knows of and has not told yet."""
        self._waiting, self._changed = waiting, True

    def saw_events(self) -> None:
        """Something came in and was stored."""
        self._last_event_at, self._changed = clock.now(), True

    def mended(self) -> None:
        """What was stored again after a failure proves that nobody has to mend it."""
        if self.state == ERROR:
            self._enter(ConnectionState.CONNECTED.value, None)

    def failed(self, error: AdapterError) -> None:
        """It ended with this: a person has to mend it, or it passes."""
        is_passing = error.remedy is not Remedy.ASK_HUMAN
        self._enter(ConnectionState.DISCONNECTED.value if is_passing else ERROR, error)

    def _enter(self, state: str, error: AdapterError | None) -> None:
        if state == self.state and error is None:
            return
        if self.state == ERROR and state == ConnectionState.CONNECTING:
            return  # still an error, until it connects
        self.state, self._changed = state, True
        self._error = error or self._error
        self._urgent.set()

    async def run(self) -> None:
        """Write for ever; while Postgres is away, later."""
        while True:
            try:
                async with asyncio.timeout(QUIET_WRITE_S):
                    await self._urgent.wait()
            except TimeoutError:
                if not self._changed:
                    continue
            await self._write_if_there()
            await asyncio.sleep(LEAST_PAUSE_S)

    async def close(self) -> None:
        """The last word of an orderly end."""
        if self.state != ERROR:
            self.state, self._told = ConnectionState.DISCONNECTED.value, ConnectionState.DISCONNECTED.value
        await self._write_if_there()

    async def _write_if_there(self) -> None:
        self._urgent.clear()
        self._changed = False
        try:
            await self._write()
        except Exception as error:  # noqa: BLE001 - the supervisor's edge: logged, and written again later
            self._changed = True
            if not is_away(error):
                log.error("health.not_written", error=type(error).__name__, org=self._held.tenant)

    async def _write(self) -> None:
        state, error = self.state, self._error
        values = {
            "id": self._held.installation_id,
            "state": state,
            "last_event_at": self._last_event_at,
            "backlog": self._waiting + self.read_ahead(),
            "error": error.detail if error else None,
            "code": error.code if error else None,
            "remedy": self._remedy(error),
        }
        async with self._tenancy.session(self._held.tenant) as session:
            await session.execute(_WRITE, values)
            await self._tell(session, state, error)
        if self._error is error:
            self._error = None
        self._told = state if state in _SIGNAL_OF else self._told

    async def _tell(self, session: TenantSession, state: str, error: AdapterError | None) -> None:
        """Signals for what matters, a few at most when the connection flaps."""
        if state not in _SIGNAL_OF or state == self._told:
            return
        if state == ConnectionState.DISCONNECTED and self._told != ConnectionState.CONNECTED:
            return
        name, period_ms = _SIGNAL_OF[state]
        held, code = self._held, error.code if error else ""
        key = f"{name}:{held.installation_id}:{held.generation}:{code}:{clock.now_ms() // period_ms}"
        payload = {
            "installation_id": str(held.installation_id),
            "package": held.connector,
            "error_code": code or None,
            "error": error.detail if error else None,
            "remedy": self._remedy(error),
        }
        actor = Actor("integration", str(held.installation_id), held.connector)
        new = NewSignal(name, payload, actor, dedupe_key=key, installation_id=held.installation_id)
        await emit(session, self._registry, new)

    def _remedy(self, error: AdapterError | None) -> str | None:
        """What to do; where the far side refused the credential, how it gets another one, too."""
        return None if error is None else advice_of(error, self._held.connector, self._held.tenant)


def advice_of(error: AdapterError, package: str, org: str) -> str | None:
    """The same, of any fault."""
    if not isinstance(error, CredentialRefused):
        return error.advice
    return (
        f"{error.advice} Then: fleetprompt package reauth {package} --org {org} (`@fleet reauth {package}`)."
    )


_SIGNAL_OF: Final = {
    ConnectionState.CONNECTED.value: ("integration.connected", FLAPPING_MS),
    ConnectionState.DISCONNECTED.value: ("integration.disconnected", FLAPPING_MS),
    ERROR: (ERROR_SIGNAL, ERROR_MS),
}

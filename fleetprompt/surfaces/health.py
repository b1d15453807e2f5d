"""What machines ask the web process: does it run, can it work, how does it fare."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.status_codes import HTTP_200_OK, HTTP_503_SERVICE_UNAVAILABLE

from fleetprompt.kernel.errors import FleetPromptError
from fleetprompt.telemetry import get_logger, metrics

PROBE_S: Final = 2.0  # a probe that hangs is an answer, too
NO_STORE: Final = {"Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class Ready:
    """It can work. note: what the operator shall know all the same."""

    note: str


Verdict: TypeAlias = "Ready | str | None"
"""None = ready, too; text = why not."""
Readiness = Callable[[], Awaitable[Verdict]]
"""Says whether we can work. Raises what keeps us from it."""
Measure = Callable[[], Awaitable[None]]
"""Brings those metrics up to date that have to be looked up. Raises what keeps it from that."""


async def nothing_to_measure() -> None:
    """For a process whose metrics are all counted as they happen."""


def health_routes(
    readiness: Readiness, probe_s: float = PROBE_S, measure: Measure = nothing_to_measure
) -> list[HTTPRouteHandler]:
    """`/healthz` (the process runs), `/readyz` (503 with a reason while it cannot work), `/metrics` (Prometheus)."""

    @get("/healthz", sync_to_thread=False)
    def healthz() -> Response[dict[str, str]]:
        return Response({"status": "ok"}, headers=NO_STORE)

    @get("/readyz")
    async def readyz() -> Response[dict[str, Any]]:
        verdict = await ask(readiness, probe_s)
        if not isinstance(verdict, str):
            note = {} if verdict is None else {"note": verdict.note}
            return Response({"status": "ready", **note}, status_code=HTTP_200_OK, headers=NO_STORE)
        body = {"status": "unavailable", "reason": verdict}
        return Response(
            body, status_code=HTTP_503_SERVICE_UNAVAILABLE, headers={**NO_STORE, "Retry-After": "1"}
        )

    @get("/metrics")
    async def exported() -> Response[bytes]:
        await measured(measure, probe_s)
        return Response(metrics.rendered(), media_type=metrics.CONTENT_TYPE, headers=NO_STORE)

    return [healthz, readyz, exported]


async def ask(readiness: Readiness, probe_s: float = PROBE_S) -> Verdict:
    """Whether we are ready, whatever the probe does: answer, raise or hang."""
    try:
        return await asyncio.wait_for(readiness(), probe_s)
    except TimeoutError:
        return f"The probe did not answer within {probe_s:g} s."
    except FleetPromptError as error:
        return str(error)
    except OSError as error:
        return f"The database cannot be reached: {type(error).__name__}."
    except Exception as error:  # noqa: BLE001 (a probe never answers 500; the log says more)
        get_logger(__name__).warning("the readiness probe failed", exc_info=error)
        return f"The probe failed: {type(error).__name__}."


async def measured(measure: Measure, probe_s: float = PROBE_S) -> None:
    """Look up what has to be looked up; without it the counted metrics are still worth an answer."""
    try:
        await asyncio.wait_for(measure(), probe_s)
    except Exception as error:  # noqa: BLE001 (a scrape never answers 500; the log says more)
        get_logger(__name__).warning("some metrics are old", error=type(error).__name__)

"""OpenTelemetry spans, when an exporter is configured (OTEL_EXPORTER_OTLP_ENDPOINT); otherwise nothing is even imported."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from fleetprompt.telemetry.redact import redact_mapping

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
EXPORT_S: Final = 2.0

_provider: TracerProvider | None = None


def configure_tracing(service: str = "fleetprompt") -> bool:
    """Export spans if the environment names a collector. Returns whether it does."""
    global _provider
    if _provider is not None or not any(os.environ.get(name) for name in ENDPOINTS):
        return _provider is not None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    _provider = TracerProvider(resource=Resource.create({"service.name": service}), shutdown_on_exit=False)
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=EXPORT_S)))
    return True


def shutdown_tracing() -> None:
    """Send what is left; a collector that is away delays this by EXPORT_S a batch, tried again or not."""
    global _provider
    if _provider is not None:
        provider, _provider = _provider, None
        provider.shutdown()


@contextmanager
def span(name: str, **attributes: Any) -> Iterator[None]:
    """One step in a trace; nested calls become children. An error marks it with its class, without its words."""
    if _provider is None:
        yield
        return
    from opentelemetry.trace import Status, StatusCode

    tracer = _provider.get_tracer("fleetprompt")
    with tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False) as current:
        current.set_attributes(
            {f"fleetprompt.{key}": _plain(value) for key, value in redact_mapping(attributes).items()}
        )
        try:
            yield
        except BaseException as error:
            current.set_status(Status(StatusCode.ERROR, type(error).__name__))
            current.set_attribute("error.type", type(error).__name__)
            raise


def _plain(value: Any) -> str | int | float | bool:
    return value if isinstance(value, str | int | float | bool) else str(value)

"""Spans, as a collector on loopback receives them."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from fleetprompt.telemetry import configure_tracing, shutdown_tracing, span
from fleetprompt.telemetry.spans import ENDPOINTS

PRIVATE = "zebra crossing at dawn"


class Collector(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[bytes] = []

    def spans(self) -> list[Any]:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        requests = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return [s for r in requests for rs in r.resource_spans for ss in rs.scope_spans for s in ss.spans]


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append(
            gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
        )
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        yield server
        shutdown_tracing()
        server.shutdown()
        thread.join()


def test_nested_steps_reach_the_collector_as_one_trace(collector: Collector) -> None:
    assert configure_tracing()
    with span("execution", org="acme", steps=3), span("model call", model="builtin"):
        pass
    shutdown_tracing()
    spans = {s.name: s for s in collector.spans()}
    assert spans["model call"].parent_span_id == spans["execution"].span_id
    assert spans["model call"].trace_id == spans["execution"].trace_id
    attributes = {a.key: a.value for a in spans["execution"].attributes}
    assert attributes["fleetprompt.org"].string_value == "acme"
    assert attributes["fleetprompt.steps"].int_value == 3


def test_a_failed_step_says_its_class_and_no_body(collector: Collector) -> None:
    configure_tracing()
    with pytest.raises(ValueError, match=PRIVATE), span("deliver", text=PRIVATE):
        raise ValueError(PRIVATE)
    shutdown_tracing()
    (failed,) = collector.spans()
    assert failed.status.message == "ValueError"
    assert PRIVATE.encode() not in b"".join(collector.bodies)


def test_without_a_collector_a_span_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
    assert not configure_tracing()
    with span("execution", org="acme"):
        pass


def test_without_a_collector_opentelemetry_is_not_even_imported() -> None:
    program = (
        "import sys; from fleetprompt.telemetry import *; configure_tracing()\nwith span('a'): pass\n"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    environment = {name: value for name, value in os.environ.items() if name not in ENDPOINTS}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)


@pytest.mark.filterwarnings("ignore")
def test_a_collector_that_is_away_delays_the_shutdown_by_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    from fleetprompt.kernel.clock import monotonic_s

    configure_tracing()
    with span("execution"):
        pass
    begun = monotonic_s()
    shutdown_tracing()
    assert monotonic_s() - begun < 5

"""Spans and metrics, sent to a collector that the test is."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from replank.system.errors import MissingExtraError
from replank_serve.http import telemetry
from served_process import served
from waiting import HANG_SECONDS

TRACE = "0af7651916cd43dd8448eb211c80319c"


class Collector(ThreadingHTTPServer):
    """Takes what is exported over HTTP."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.taken: list[tuple[str, bytes]] = []

    def spans(self) -> list[Span]:
        requests = [ExportTraceServiceRequest.FromString(body) for path, body in self.taken if path == "/v1/traces"]
        return [
            span
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def metrics(self) -> set[str]:
        requests = [ExportMetricsServiceRequest.FromString(body) for path, body in self.taken if path == "/v1/metrics"]
        return {
            metric.name
            for request in requests
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.taken.append((self.path, body))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with Collector() as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_request_is_a_span_that_says_where_its_time_went(collector: Collector, onnx_artifact: Path) -> None:
    with served(onnx_artifact) as server:
        given = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
        answer = httpx.post(
            f"{server.url}/predict", json={"inputs": ["secretword", "a"]}, headers=given, timeout=HANG_SECONDS
        )
        assert answer.status_code == 200
        assert server.ready() == 200
        assert server.stop() == 0
    (span,) = collector.spans()
    assert (span.name, span.trace_id.hex()) == ("POST /predict", TRACE)
    values = {attribute.key: attribute.value for attribute in span.attributes}
    assert values["http.response.status_code"].int_value == 200
    assert (values["replank.texts"].int_value, values["replank.batch_size"].int_value) == (2, 2)
    assert values["replank.tokens"].int_value == int(answer.headers["x-compute-tokens"])
    for name in ("tokenization", "queue", "inference"):
        assert f"{values[f'replank.{name}_ms'].double_value:.3f}" == answer.headers[f"x-{name}-time"]
    assert "http.server.request.duration" in collector.metrics()
    assert not any(b"secretword" in body for _, body in collector.taken)


def test_a_collector_without_what_sends_to_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: str) -> None:
        raise MissingExtraError("not installed")

    monkeypatch.setattr(telemetry, "require", missing)
    telemetry.telemetry()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:4318/v1/traces")
    with pytest.raises(MissingExtraError):
        telemetry.telemetry()
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    telemetry.telemetry()

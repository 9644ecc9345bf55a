"""OpenTelemetry: a span and metrics of each request, if the environment names a collector.

FastAPI creates and exports them; see https://opentelemetry.io/docs/specs/otel/protocol/exporter/ for the variables.
"""

from __future__ import annotations

import os

from fastapi.telemetry import TelemetryConfig
from opentelemetry import trace

from replank.system.extras import require
from replank_serve.engine.inference import Inference

_ENDPOINTS = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
)
# Probes, which arrive every few seconds.
QUIET_PATHS = ("/health", "/ready", "/metrics", "/v2/health/live", "/v2/health/ready")


def telemetry() -> TelemetryConfig:
    """FastAPI's telemetry settings: requests are traced without their content, and only if a collector is named.

    :raises MissingExtraError: a collector is named, and the exporter is not installed.
    """
    if any(map(os.environ.get, _ENDPOINTS)) and os.environ.get("OTEL_SDK_DISABLED", "").lower() != "true":
        require("opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http")
    return {
        "auto_configure": True,
        # Log records of invalid requests would hold their content.
        "logs": False,
        "operation_spans": False,
        "exclude": lambda scope: scope.get("path") in QUIET_PATHS,
    }


def record_inference(model: str, inference: Inference) -> None:
    """Add the timings of an answer to the request's span."""
    span = trace.get_current_span()
    if span.is_recording():
        span.set_attributes(
            {
                "replank.model": model,
                "replank.texts": len(inference.rows),
                "replank.tokens": sum(map(len, inference.tokens)),
                "replank.batch_size": inference.batch_size,
                "replank.tokenization_ms": inference.tokenization_ms,
                "replank.queue_ms": inference.queue_ms,
                "replank.inference_ms": inference.inference_ms,
            }
        )

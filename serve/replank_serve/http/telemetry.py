"""OpenTelemetry: a span of each request and its numbers, where the environment names a collector.

FastAPI makes and sends them; see https://opentelemetry.io/docs/specs/otel/protocol/exporter/ for the variables.
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
# Probes come every few seconds and say nothing.
QUIET_PATHS = ("/health", "/ready", "/metrics", "/v2/health/live", "/v2/health/ready")


def telemetry() -> TelemetryConfig:
    """What FastAPI is to trace: requests, without their content; nothing where no collector is named.

    :raises MissingExtraError: a collector is named, and what sends to it is not installed.
    """
    if any(map(os.environ.get, _ENDPOINTS)) and os.environ.get("OTEL_SDK_DISABLED", "").lower() != "true":
        require("opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http")
    return {
        "auto_configure": True,
        # Its records of what was wrong with a request hold the request.
        "logs": False,
        "operation_spans": False,
        "exclude": lambda scope: scope.get("path") in QUIET_PATHS,
    }


def describe(model: str, inference: Inference) -> None:
    """Say in the request's span where its time went."""
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

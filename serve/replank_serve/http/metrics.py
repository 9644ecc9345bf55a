"""Prometheus metrics: requests counted when they arrive and when they end, their timings, and the state of models."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from replank_serve.engine.inference import BatchRecord, Inference
from replank_serve.http.errors import CLIENT_CLOSED_REQUEST
from replank_serve.models.registry import ModelRegistry

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_ITEMS = (1, 2, 4, 8, 16, 32, 64)
_TOKENS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
_SHARES = (0.01, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75)
_REASONS = {429: "queue_full", 503: "not_ready", 504: "deadline", CLIENT_CLOSED_REQUEST: "client_gone"}


class Metrics:
    """The metrics of one application.

    At any moment ``replank_requests_received_total`` is the sum of ``replank_requests_total`` over its labels and
    of ``replank_requests_in_progress``.
    """

    def __init__(self) -> None:
        # Not the global registry: two applications in one process must not share counters.
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._received = self._counter("requests_received", "Requests that came")
        self._running = Gauge("replank_requests_in_progress", "Requests without an end", registry=self._registry)
        self._ended = self._counter("requests", "Requests that ended, by route and status", "route", "code")
        self._shed = self._counter("shed", "Requests for answers of a model that got none, and why", "reason")
        for reason in _REASONS.values():
            self._shed.labels(reason)
        self._request = self._histogram("request_seconds", "From a request to the end of its answer", _SECONDS, "route")
        self._tokenization = self._histogram("tokenization_seconds", "Tokenizing one request", _SECONDS)
        self._queue = self._histogram("queue_seconds", "Waiting of one request", _SECONDS)
        self._inference = self._histogram("inference_seconds", "First to last batch of one request", _SECONDS)
        # Looking a child up by its labels takes as long as adding to it.
        self._timings = cache(
            lambda model: [metric.labels(model) for metric in (self._tokenization, self._queue, self._inference)]
        )
        self._endings = cache(lambda route, code: (self._ended.labels(route, code), self._request.labels(route)))
        self._batch = self._histogram("batch_seconds", "Running one batch", _SECONDS)
        self._items = self._histogram("batch_items", "Texts or pairs of one batch", _ITEMS)
        self._tokens = self._histogram("batch_tokens", "Tokens of one batch, padding included", _TOKENS)
        self._padding = self._histogram("batch_padding_ratio", "Padding's share in the tokens of a batch", _SHARES)

    def watch(self, models: ModelRegistry) -> None:
        """Collect the state of the models at every scrape."""
        self._registry.register(_ModelCollector(models))

    def begin(self) -> float:
        """Count a new request.

        :returns: its start time, for :meth:`end`.
        """
        self._received.inc()
        self._running.inc()
        return time.perf_counter()

    def end(self, route: str, method: str, code: int, began: float) -> float:
        """Count a finished request.

        :param route: the template of its path; raw paths would let clients create labels.
        :returns: its duration in milliseconds.
        """
        seconds = time.perf_counter() - began
        self._running.dec()
        ended, durations = self._endings(route, code)
        ended.inc()
        durations.observe(seconds)
        if method == "POST" and code in _REASONS:
            self._shed.labels(_REASONS[code]).inc()
        return 1e3 * seconds

    def answered(self, model: str, inference: Inference) -> None:
        """Record the timings of a request that a model answered."""
        tokenization, queue, run = self._timings(model)
        tokenization.observe(inference.tokenization_ms / 1e3)
        queue.observe(inference.queue_ms / 1e3)
        run.observe(inference.inference_ms / 1e3)

    def on_batch(self, model: str) -> Callable[[BatchRecord], None]:
        """A callback for an engine, called after each batch."""
        seconds, items, tokens, padding = (
            metric.labels(model) for metric in (self._batch, self._items, self._tokens, self._padding)
        )

        def observe(batch: BatchRecord) -> None:
            seconds.observe(batch.seconds)
            items.observe(batch.items)
            tokens.observe(batch.padded_tokens)
            padding.observe(1 - batch.tokens / batch.padded_tokens)

        return observe

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """All metrics as text with its media type, in the newest format that the client accepts."""
        encode, media_type = choose_encoder(accept)
        return encode(self._registry), media_type

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"replank_{name}", text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], label: str = "model") -> Histogram:
        return Histogram(f"replank_{name}", text, (label,), buckets=buckets, registry=self._registry)


class _ModelCollector(Collector):
    """The state of the loaded models at the time of a scrape."""

    def __init__(self, models: ModelRegistry) -> None:
        self._models = models

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The metric families."""
        items = GaugeMetricFamily("replank_queue_items", "Texts or pairs that wait", labels=["model"])
        tokens = GaugeMetricFamily("replank_queue_tokens", "Tokens that wait", labels=["model"])
        running = GaugeMetricFamily("replank_running_items", "Texts or pairs that run now", labels=["model"])
        ready = GaugeMetricFamily("replank_ready", "Whether it answers now", labels=["model"])
        restarts = GaugeMetricFamily(
            "replank_restarts", "Times that its inference thread was restarted", labels=["model"]
        )
        sleeping = GaugeMetricFamily(
            "replank_threads_sleep", "Whether its threads sleep while they wait, beside other work", labels=["model"]
        )
        facts = ["model", "source", "digest", "precision", "provider"]
        info = GaugeMetricFamily("replank_model_info", "What is loaded", labels=facts)
        for loaded in self._models:
            engine, name = loaded.engine, [loaded.name]
            items.add_metric(name, engine.waiting)
            tokens.add_metric(name, engine.waiting_tokens)
            running.add_metric(name, engine.running)
            ready.add_metric(name, engine.state == "ready")
            restarts.add_metric(name, engine.restarts)
            sleeping.add_metric(name, not engine.spins)
            model = loaded.model
            described = [loaded.source_name, loaded.digest or "", model.source.precision, model.provider or "torch"]
            info.add_metric([loaded.name, *described], 1)
        yield from (items, tokens, running, ready, restarts, sleeping, info)

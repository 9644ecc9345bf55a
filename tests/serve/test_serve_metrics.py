"""The numbers for Prometheus: they balance, whatever happens to requests."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families

from app_client import CONFIG, assert_error, post, with_app
from held_model import Held
from replank.runtime.model import Model
from replank_serve.engine.engine import Engine

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def numbers(http: httpx.AsyncClient) -> Samples:
    text = (await http.get("/metrics")).text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((f"replank_{name}", frozenset(labels.items())), 0)


def total(samples: Samples, name: str) -> float:
    return sum(number for (sample, _), number in samples.items() if sample == f"replank_{name}")


def assert_balanced(samples: Samples) -> None:
    received, running = value(samples, "requests_received_total"), value(samples, "requests_in_progress")
    assert received == total(samples, "requests_total") + running
    assert total(samples, "request_seconds_count") == total(samples, "requests_total")


def test_every_request_is_counted_when_it_comes_and_when_it_ends(model: Model) -> None:
    held = Held(model)
    held.gate.set()

    async def client(http: httpx.AsyncClient, engine: Engine) -> None:
        assert (await post(http, {"inputs": ["good film", "a"]})).status_code == 200
        await post(http, {"inputs": 5})
        for path in ("/nothing", "/elsewhere/" + "a" * 90, "/v2/models/x", "/v2/models/y"):
            await http.get(path)
        samples = await numbers(http)
        assert_balanced(samples)
        assert value(samples, "requests_in_progress") == 1  # the request for the numbers
        assert value(samples, "requests_total", route="/predict", code="200") == 1
        assert value(samples, "requests_total", route="/predict", code="422") == 1
        assert value(samples, "requests_total", route="none", code="404") == 2
        assert value(samples, "requests_total", route="/v2/models/{name}", code="404") == 2

        held.gate.clear()
        running = asyncio.create_task(post(http, {"inputs": "a"}))
        while not engine.running:
            await asyncio.sleep(0.001)
        waiting = asyncio.create_task(post(http, {"inputs": "good film"}))
        while engine.waiting_tokens != 4:
            await asyncio.sleep(0.001)
        samples = await numbers(http)
        assert_balanced(samples)
        assert value(samples, "requests_in_progress") == 3
        assert value(samples, "queue_items", model="onnx") == 1
        assert value(samples, "queue_tokens", model="onnx") == 4
        assert value(samples, "running_items", model="onnx") == 1
        shed = await post(http, {"inputs": ["good film and music"] * 4})
        assert_error(shed, 429, "overloaded", "tokens wait already")
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        held.gate.set()
        await running
        samples = await numbers(http)
        assert_balanced(samples)
        assert value(samples, "requests_in_progress") == 1
        assert value(samples, "queue_items", model="onnx") == 0
        assert value(samples, "shed_total", reason="queue_full") == 1
        assert value(samples, "shed_total", reason="client_gone") == 1
        assert value(samples, "requests_total", route="/predict", code="499") == 1

    with_app(replace(model, predictor=held), client, replace(CONFIG, max_queue_tokens=30))


def test_batches_tell_their_size_and_padding(model: Model) -> None:
    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        before = await numbers(http)
        assert value(before, "batch_items_count", model="onnx") == 0
        await post(http, {"inputs": ["good film", "a film"]})
        await post(http, {"inputs": ["good film", "film"]})
        samples = await numbers(http)
        assert value(samples, "batch_items_count", model="onnx") == 2
        assert value(samples, "batch_items_sum", model="onnx") == 4
        assert value(samples, "batch_tokens_sum", model="onnx") == 16
        # One of the eight places of the second batch is padding.
        assert value(samples, "batch_padding_ratio_sum", model="onnx") == pytest.approx(1 / 8)
        for name in ("tokenization_seconds", "queue_seconds", "inference_seconds", "batch_seconds"):
            assert value(samples, f"{name}_count", model="onnx") == 2
            assert 0 <= value(samples, f"{name}_sum", model="onnx") < 5
        assert value(samples, "batch_seconds_sum", model="onnx") > 0

    with_app(model, client)


def test_what_is_loaded_and_whether_it_is_ready(model: Model) -> None:
    async def client(http: httpx.AsyncClient, engine: Engine) -> None:
        samples = await numbers(http)
        (info,) = (dict(labels) for name, labels in samples if name == "replank_model_info")
        artifact = model.source.artifact
        assert artifact is not None
        assert info == {
            "model": "onnx",
            "source": "onnx",
            "digest": artifact.manifest.digest,
            "precision": "fp32",
            "provider": "CPUExecutionProvider",
        }
        assert value(samples, "ready", model="onnx") == 1
        assert samples["replank_threads_sleep", frozenset({("model", "onnx")})] == 0
        assert any(name == "process_resident_memory_bytes" and number > 1e6 for (name, _), number in samples.items())
        engine.drain()
        await post(http, {"inputs": "a"})
        samples = await numbers(http)
        assert value(samples, "ready", model="onnx") == 0
        assert value(samples, "shed_total", reason="not_ready") == 1

    with_app(model, client)


def test_the_newer_format_is_given_to_who_asks_for_it(model: Model) -> None:
    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        plain = await http.get("/metrics")
        assert plain.headers["content-type"].startswith("text/plain; version=")
        newer = await http.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
        assert newer.headers["content-type"].startswith("application/openmetrics-text")
        assert "replank_requests_received" in {family.name for family in open_metrics(newer.text)}  # type: ignore[no-untyped-call]

    with_app(model, client)


def test_two_applications_do_not_count_into_each_other(model: Model) -> None:
    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        async def inner(other: httpx.AsyncClient, _: Engine) -> None:
            await post(other, {"inputs": "a"})
            assert value(await numbers(other), "requests_total", route="/predict", code="200") == 1

        await asyncio.to_thread(with_app, model, inner)
        assert value(await numbers(http), "requests_total", route="/predict", code="200") == 0
        assert json.dumps(value(await numbers(http), "requests_received_total")) == "2.0"

    with_app(model, client)

"""How a real server ends: by a signal, under load, with a thread that dies."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from served_process import served
from waiting import HANG_SECONDS, until


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_requests_end_and_exits_0(onnx_artifact: Path, number: int) -> None:
    with (
        served(onnx_artifact, slow_seconds=0.8, drain_seconds=HANG_SECONDS) as server,
        ThreadPoolExecutor(2) as pool,
    ):
        assert server.post("good film").status_code == 200
        slow = pool.submit(server.post, "the film is superb")
        server.until_slow()
        assert server.stop(number) == 0
        assert slow.result().status_code == 200
        with pytest.raises(httpx.ConnectError):
            server.post("good film")
        assert not [line for line in server.log if "Traceback" in line]


def test_a_request_that_does_not_end_is_answered_503_at_the_drain_deadline(onnx_artifact: Path) -> None:
    with served(onnx_artifact, slow_seconds=2 * HANG_SECONDS) as server, ThreadPoolExecutor(2) as pool:
        hung = pool.submit(server.post, "the film is superb")
        server.until_slow()
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started > 1.4
        assert (hung.result().status_code, hung.result().json()["error_type"]) == (503, "unhealthy")


def test_a_signal_under_load_loses_nothing(onnx_artifact: Path) -> None:
    """Each request has an answer: 200 if it came in time, 503 if not; after that nobody can connect."""
    outcomes: Counter[int | str] = Counter()
    with served(onnx_artifact, max_queue_tokens=5000) as server, ThreadPoolExecutor(8) as pool:

        def ask_on() -> None:
            with httpx.Client(timeout=HANG_SECONDS) as client:
                while True:
                    try:
                        response = client.post(f"{server.url}/predict", json={"inputs": ["good film", "a dull scene"]})
                    except httpx.ConnectError:
                        return
                    except httpx.TransportError as error:
                        outcomes[type(error).__name__] += 1
                        return
                    outcomes[response.status_code] += 1
                    if response.status_code == 503:
                        assert response.headers["connection"] == "close"
                        time.sleep(0.05)

        clients = [pool.submit(ask_on) for _ in range(8)]
        until(lambda: outcomes[200] >= 100)
        assert server.stop() == 0
        for client in clients:
            client.result(HANG_SECONDS)
    assert set(outcomes) <= {200, 503}, outcomes
    assert outcomes[200] >= 100


def test_a_second_signal_does_not_wait(onnx_artifact: Path) -> None:
    long = 2 * HANG_SECONDS
    with served(onnx_artifact, slow_seconds=long, drain_seconds=long) as server, ThreadPoolExecutor(1) as pool:
        hung = pool.submit(server.post, "the film is superb")
        server.until_slow()
        server.process.send_signal(signal.SIGTERM)
        until(lambda: server.ready() != 200)
        assert server.process.poll() is None
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(HANG_SECONDS)
        assert (hung.result().status_code, hung.result().json()["error_type"]) == (503, "unhealthy")


def test_a_dying_inference_thread_is_started_again_once_and_then_the_server_ends(onnx_artifact: Path) -> None:
    with served(onnx_artifact) as server:
        assert server.post("awful").status_code == 503
        until(lambda: server.ready() == 200)
        assert server.post("good film").status_code == 200
        assert server.post("awful").status_code == 503
        assert server.process.wait(HANG_SECONDS) == 1
    assert server.log[-1] == "replank.system.errors.ReplankError: the inference thread died again: awful\n"


def test_logs_as_json_have_the_ids_of_their_requests(onnx_artifact: Path) -> None:
    with served(onnx_artifact, log_requests=True, json_logs=True) as server:
        url = f"{server.url}/predict"
        for text, number in (("good film", "first"), ("weak", "second")):
            httpx.post(url, json={"inputs": text}, headers={"x-request-id": number}, timeout=HANG_SECONDS)
        assert server.stop() == 0
        until(lambda: len(server.log) >= 4)
    lines = [json.loads(line) for line in server.log]
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)
    requests = {line["request_id"]: line for line in lines if line["logger"] == "replank_serve.request"}
    assert (requests["first"]["path"], requests["first"]["status"]) == ("/predict", 200)
    assert requests["second"]["status"] == 500
    (failure,) = (line for line in lines if line["level"] == "ERROR")
    assert failure["message"] == "the model failed on a text of the request second"
    assert failure["exception"].endswith("RuntimeError: weak")
    assert "good film" not in "".join(server.log)


def test_without_being_asked_only_failures_are_logged(onnx_artifact: Path) -> None:
    with served(onnx_artifact) as server:
        assert [server.post(text).status_code for text in ("good film", "weak", "")] == [200, 500, 200]
        assert httpx.post(f"{server.url}/predict", json={}, timeout=HANG_SECONDS).status_code == 422
        assert server.stop() == 0
    requests = [line.split() for line in server.log if " /predict " in line]
    assert [line[2:6] for line in requests] == [["WARNING", "POST", "/predict", "500"]]

"""The real server process: signals, ports, clients that go away, and what it imports."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from replank.answers import answers
from replank.errors import ProviderError, ReplankError
from replank.runtime import load_model
from replank.source import open_source
from serve.app import ServeConfig
from serve.server import run_server

# A model whose answer to the word "superb" takes as many seconds as the second argument says, whose inference thread
# ends when it reads "awful", and which fails on "weak". The process may connect to nobody and start nobody.
RUNNER = """
import json, sys, time
from dataclasses import replace
from replank.runtime import load_model
from replank.source import open_source
from serve.app import ServeConfig
from serve.server import run_server

def watch(event, arguments):
    if event in ("socket.connect", "subprocess.Popen", "os.fork"):
        sys.stderr.write(f"FORBIDDEN {event} {arguments}\\n")

sys.addaudithook(watch)
model = load_model(open_source(sys.argv[1]), threads=1)
slow_id, deadly_id, broken_id = model.text_encoder.tokenize(["superb awful weak"])[0].ids[1:4]

def predictor(batch):
    if slow_id in batch.input_ids:
        time.sleep(float(sys.argv[2]))
    if deadly_id in batch.input_ids:
        raise SystemExit("awful")
    if broken_id in batch.input_ids:
        raise RuntimeError("weak")
    return model.predictor(batch)

settings = {"max_queue_tokens": 200, "max_texts": 4, "drain_seconds": 1.5} | json.loads(sys.argv[3])
run_server(replace(model, predictor=predictor), ServeConfig(port=0, **settings))
"""


@dataclass
class Server:
    process: subprocess.Popen[str]
    url: str
    log: list[str]

    def post(self, inputs: object, timeout: float = 10) -> httpx.Response:
        return httpx.post(f"{self.url}/predict", json={"inputs": inputs}, timeout=timeout)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(10)

    def open_files(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def ready(self) -> int:
        return httpx.get(f"{self.url}/ready").status_code


@contextmanager
def served(artifact: Path, slow_seconds: float = 0.0, **settings: object) -> Iterator[Server]:
    command = [sys.executable, "-c", RUNNER, str(artifact), str(slow_seconds), json.dumps(settings)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    log: list[str] = []
    ready = threading.Event()

    def read() -> None:
        assert process.stderr
        for line in process.stderr:
            log.append(line)
            ready.set()
        ready.set()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        assert ready.wait(30)
        match = re.search(r"serving onnx on (http://127\.0\.0\.1:\d+) \(docs: /docs\)", log[0])
        assert match, log
        yield Server(process, match[1], log)
    finally:
        process.kill()
        process.wait()
        reader.join()
        if process.stderr:
            process.stderr.close()
        assert not [line for line in log if line.startswith("FORBIDDEN")]


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture(scope="module")
def server(onnx_artifact: Path) -> Iterator[Server]:
    with served(onnx_artifact) as running:
        yield running


def test_a_served_answer_is_the_models(server: Server, onnx_artifact: Path) -> None:
    texts = ["the film is superb", "a dull scene"]
    model = load_model(open_source(onnx_artifact), threads=1)
    scores = answers(model.task, model.logits(texts))
    body = server.post(texts).json()
    assert [[score["label"] for score in row] for row in body] == [[score.label for score in row] for row in scores]
    assert body[0][0]["score"] == pytest.approx(scores[0][0].score, abs=1e-5)


def test_clients_that_go_away_leave_no_trace(server: Server) -> None:
    """A chaos of half sent, unread and broken requests; then the server answers as if nothing had been."""
    generator = random.Random(0)  # noqa: S311 - chaos, no secret
    host, port = server.url.removeprefix("http://").split(":")
    body = json.dumps({"inputs": ["the film is good"] * 4})
    headers = f"host: a\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    request = f"POST /predict HTTP/1.1\r\n{headers}\r\n"
    whole = (request + body).encode()

    server.post("good film")
    before = server.open_files()

    def vanish(_: int) -> None:
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(whole[: generator.choice((5, len(request), len(whole) - 9, len(whole), len(whole)))])
            time.sleep(generator.choice((0, 0, 0.002)))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(vanish, range(300)))
        assert [response.status_code for response in pool.map(server.post, ["good film"] * 40)].count(200) >= 8
    responses = [server.post(["good film"] * 4) for _ in range(10)]
    assert [response.status_code for response in responses] == [200] * 10
    until(lambda: server.open_files() <= before)
    assert not [line for line in server.log if "ERROR" in line or "Traceback" in line]


def test_bursts_are_shed_never_broken(onnx_artifact: Path) -> None:
    """text-embeddings-inference #470 panicked and TorchServe #3342 answered 500 when its queue was full."""
    with served(onnx_artifact, slow_seconds=0.2, max_queue_tokens=50) as server, ThreadPoolExecutor(24) as pool:
        responses = list(pool.map(server.post, ["the film is superb"] * 72))
        codes = [response.status_code for response in responses]
        assert set(codes) == {200, 429}, Counter(codes)
        assert all(
            1 <= int(response.headers["retry-after"]) <= 60 for response in responses if response.status_code == 429
        )
        assert server.post("good film").status_code == 200


def test_an_upload_beyond_the_limit_is_answered(server: Server) -> None:
    def zeros() -> Iterator[bytes]:
        for _ in range(80):
            yield b"0" * 100_000

    response = httpx.post(
        f"{server.url}/predict", content=zeros(), headers={"content-type": "application/json"}, timeout=10
    )
    assert (response.status_code, response.json()["error_type"]) == (413, "too_large")
    assert server.post("good film").status_code == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_requests_end_and_exits_0(onnx_artifact: Path, number: int) -> None:
    with served(onnx_artifact, slow_seconds=0.8) as server, ThreadPoolExecutor(2) as pool:
        assert server.post("good film").status_code == 200
        slow = pool.submit(server.post, "the film is superb")
        time.sleep(0.3)
        assert server.stop(number) == 0
        assert slow.result().status_code == 200
        with pytest.raises(httpx.ConnectError):
            server.post("good film")
        assert not [line for line in server.log if "Traceback" in line]


def test_a_request_that_does_not_end_is_answered_503_at_the_drain_deadline(onnx_artifact: Path) -> None:
    with served(onnx_artifact, slow_seconds=60) as server, ThreadPoolExecutor(2) as pool:
        hung = pool.submit(server.post, "the film is superb")
        time.sleep(0.3)
        started = time.monotonic()
        assert server.stop() == 0
        assert 1.4 < time.monotonic() - started < 6
        assert (hung.result().status_code, hung.result().json()["error_type"]) == (503, "unhealthy")


def test_a_signal_under_load_loses_nothing(onnx_artifact: Path) -> None:
    """Each request has an answer: 200 if it came in time, 503 if not; after that nobody can connect."""
    outcomes: Counter[int | str] = Counter()
    with served(onnx_artifact, max_queue_tokens=5000) as server, ThreadPoolExecutor(8) as pool:

        def ask_on() -> None:
            with httpx.Client(timeout=10) as client:
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
            client.result(10)
    assert set(outcomes) <= {200, 503}, outcomes
    assert outcomes[200] >= 100


def test_a_second_signal_does_not_wait(onnx_artifact: Path) -> None:
    with served(onnx_artifact, slow_seconds=60, drain_seconds=60) as server, ThreadPoolExecutor(1) as pool:
        hung = pool.submit(server.post, "the film is superb")
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert server.process.poll() is None
        started = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(20)
        assert time.monotonic() - started < 10
        assert (hung.result().status_code, hung.result().json()["error_type"]) == (503, "unhealthy")


def test_a_dying_inference_thread_is_started_again_once_and_then_the_server_ends(onnx_artifact: Path) -> None:
    with served(onnx_artifact) as server:
        assert server.post("awful").status_code == 503
        until(lambda: server.ready() == 200)
        assert server.post("good film").status_code == 200
        assert server.post("awful").status_code == 503
        assert server.process.wait(10) == 1
    assert server.log[-1] == "replank.errors.ReplankError: the inference thread died again: awful\n"


def test_logs_as_json_have_the_ids_of_their_requests(onnx_artifact: Path) -> None:
    with served(onnx_artifact, json_logs=True) as server:
        url = f"{server.url}/predict"
        for text, number in (("good film", "first"), ("weak", "second")):
            httpx.post(url, json={"inputs": text}, headers={"x-request-id": number})
        assert server.stop() == 0
        until(lambda: len(server.log) >= 4)
    lines = [json.loads(line) for line in server.log]
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)
    requests = {line["request_id"]: line for line in lines if line["logger"] == "serve.request"}
    assert (requests["first"]["path"], requests["first"]["status"]) == ("/predict", 200)
    assert requests["second"]["status"] == 500
    (failure,) = (line for line in lines if line["level"] == "ERROR")
    assert failure["message"] == "a batch of 1 failed, of the requests second"
    assert failure["exception"].endswith("RuntimeError: weak")
    assert "good film" not in "".join(server.log)


def test_an_idle_server_costs_no_cpu(server: Server) -> None:
    """LitServe's batch loop polls its queue every millisecond."""

    def cpu_seconds() -> float:
        fields = Path(f"/proc/{server.process.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    server.post("good film")
    time.sleep(0.3)
    before = cpu_seconds()
    time.sleep(2)
    assert cpu_seconds() - before <= 0.05


def test_a_port_in_use_is_said_before_anything_is_loaded(onnx_artifact: Path) -> None:
    model = load_model(open_source(onnx_artifact), threads=1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            ReplankError, match=f"cannot listen on 127.0.0.1 port {port}: Address already in use"
        ) as info:
            run_server(model, ServeConfig(port=port))
    assert info.value.exit_code == 1
    assert info.value.hint == "another program listens there; choose another --port, or 0 for a free one"


def test_an_address_of_another_machine_is_said(onnx_artifact: Path) -> None:
    model = load_model(open_source(onnx_artifact), threads=1)
    with pytest.raises(ReplankError, match=r"192\.0\.2\.1 port 0: Cannot assign"):
        run_server(model, ServeConfig(host="192.0.2.1", port=0))


def test_cuda_that_is_not_there_is_refused_at_start(onnx_artifact: Path) -> None:
    """ONNX Runtime itself would run on the CPU in silence."""
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    with pytest.raises(ProviderError, match="this onnxruntime has no CUDAExecutionProvider"):
        load_model(open_source(onnx_artifact), device="cuda")


def test_serving_imports_neither_torch_nor_transformers() -> None:
    code = (
        "import sys, serve.app, serve.server, serve.benchmark, serve.benchmark_worker; "
        "print({'torch', 'transformers', 'compress', 'export'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    # `compress` and `export` are only looked for, never run: replank checks that they lie beside it.
    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_a_model_that_fails_in_its_warm_up_ends_the_server(onnx_artifact: Path) -> None:
    code = RUNNER.replace("    return model.predictor(batch)", "    raise RuntimeError('no kernel')")
    done = subprocess.run(
        [sys.executable, "-c", code, str(onnx_artifact), "0", "{}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 1
    assert done.stderr.endswith("ReplankError: the model failed in its warm-up: no kernel\n")
    assert "serving" not in done.stderr

"""A real server and its clients, well-behaved and not."""

from __future__ import annotations

import json
import os
import random
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from replank.models.source import open_source
from replank.runtime.load import load_model
from served_process import Server, served
from waiting import HANG_SECONDS, until


@pytest.fixture(scope="module")
def server(onnx_artifact: Path) -> Iterator[Server]:
    with served(onnx_artifact) as running:
        yield running


def test_a_served_answer_is_the_models(server: Server, onnx_artifact: Path) -> None:
    texts = ["the film is superb", "a dull scene"]
    model = load_model(open_source(onnx_artifact), threads=1)
    scores = model.task.kind.scores(model.task.labels, model.logits(texts))
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
        with socket.create_connection((host, int(port)), timeout=HANG_SECONDS) as connection:
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
    with served(onnx_artifact, slow_seconds=2, max_queue_tokens=50) as server, ThreadPoolExecutor(24) as pool:
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
        f"{server.url}/predict", content=zeros(), headers={"content-type": "application/json"}, timeout=HANG_SECONDS
    )
    assert (response.status_code, response.json()["error_type"]) == (413, "too_large")
    assert server.post("good film").status_code == 200


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

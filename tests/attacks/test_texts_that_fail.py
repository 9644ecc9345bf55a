"""A text that the model cannot take, among the texts of others."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from tokenizers import Tokenizer

from served_process import Server, served
from waiting import until

CLIENTS = 8
REQUESTS = 30


@pytest.fixture(scope="module")
def beyond(onnx_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose tokenizer has two tokens more than the model's embedding table has rows."""
    tokenizer = Tokenizer.from_file(str(onnx_artifact / "tokenizer.json"))
    rows = json.loads((onnx_artifact / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    added = ["covid", "lockdown", *(f"filler{index}" for index in range(rows - tokenizer.get_vocab_size()))][::-1]
    assert tokenizer.add_tokens(added) == len(added)
    assert tokenizer.get_vocab_size() == rows + 2
    file = tmp_path_factory.mktemp("beyond") / "tokenizer.json"
    tokenizer.save(str(file))
    with served(onnx_artifact, tokenizer=str(file), max_queue_tokens=10_000, json_logs=True) as server:
        yield server


@pytest.mark.parametrize("text", ["a covid film", "weak"], ids=["beyond the table", "an exception"])
def test_nobody_else_sees_an_error(beyond: Server, text: str) -> None:
    """One of eight clients sends texts that the model cannot take: verdict 500 for each of them, and for no other."""
    barrier = threading.Barrier(CLIENTS)
    expected = [httpx.post(f"{beyond.url}/predict", json={"inputs": f"good film {index}"}).json() for index in range(9)]

    def client(number: int) -> list[int]:
        statuses = []
        with httpx.Client(base_url=beyond.url, timeout=30) as http:
            barrier.wait(30)
            for turn in range(REQUESTS):
                own = f"good film {turn % 9}" if number else text
                response = http.post("/predict", json={"inputs": own})
                statuses.append(response.status_code)
                if number:
                    assert response.json() == [
                        {"label": row["label"], "score": pytest.approx(row["score"], abs=1e-5)}
                        for row in expected[turn % 9]
                    ]
        return statuses

    with ThreadPoolExecutor(CLIENTS) as pool:
        bad, *good = pool.map(client, range(CLIENTS))
    assert good == [[200] * REQUESTS] * (CLIENTS - 1)
    assert bad == [500] * REQUESTS
    assert beyond.ready() == 200


def test_the_text_is_named_in_a_request_of_several(beyond: Server) -> None:
    response = beyond.post(["good film", "lockdown", "dull"])
    assert (response.status_code, response.json()["error_type"]) == (500, "internal")
    assert response.json()["error"] == "the model failed on this request, at inputs[1]; the server's log says why"
    # ONNX Runtime writes to stderr itself, unless it is told not to; what it would say is in the exception.
    request_id = response.json()["request_id"]
    until(lambda: any(request_id in line and "out of range" in line for line in beyond.log))
    assert all(json.loads(line)["level"] for line in beyond.log)

"""The load test: its search against a known truth, an engine and a server that answer, and ones that do not."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from conftest import Replank, error_lines

from replank.errors import QualityGateError, ReplankError, UsageError
from replank.units import milliseconds, per_second, size_in_bytes

pytest.importorskip("mlperf_loadgen", reason="needs the bench extra")

from serve.loadtest import LoadtestConfig, highest_rate, loadtest
from serve.loadtest_table import chart, render

INFO = {
    "model": "stand-in",
    "precision": "fp32",
    "max_length": 8,
    "task": {"is_pair": False},
    "limits": {"max_texts": 4, "max_queue_tokens": 512},
}
SERVER = """
import sys
from replank.runtime import load_model
from replank.source import open_source
from serve.app import build_app
from serve.config import ServeConfig
from serve.server import run_server

run_server(load_model(open_source(sys.argv[1]), threads=1), ServeConfig(port=0))
"""


class StandIn(BaseHTTPRequestHandler):
    """A server whose answers a test decides: the status of the request of each number."""

    protocol_version = "HTTP/1.1"
    asked: list[Any]
    statuses: dict[int, int]
    dies_after: int | None
    server: ThreadingHTTPServer

    def do_GET(self) -> None:
        self._answer(200, INFO)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append(body["inputs"])
        if self.dies_after is not None and len(self.asked) > self.dies_after:
            self.server.socket.close()
            # From another thread, for it waits for the loop that is to end.
            threading.Thread(target=self.server.shutdown, daemon=True).start()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        status = self.statuses.get(len(self.asked), 200)
        self._answer(status, [] if status == 200 else {"error": "the queue is full"})

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@dataclass
class Stand:
    """A stand-in that runs.

    :param asked: the inputs of each request, in order of arrival.
    :param statuses: by the number of the request, where it is not 200.
    """

    url: str
    asked: list[Any]
    statuses: dict[int, int]


@contextmanager
def stand_in(dies_after: int | None = None) -> Iterator[Stand]:
    settings: dict[str, Any] = {"asked": [], "statuses": {}, "dies_after": dies_after}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (StandIn,), settings))
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=lambda: _serve(server), daemon=True)
    thread.start()
    try:
        yield Stand(f"http://127.0.0.1:{server.server_address[1]}", settings["asked"], settings["statuses"])
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def _serve(server: ThreadingHTTPServer) -> None:
    with suppress(OSError, ValueError):  # of a server that was killed
        server.serve_forever(0.05)


def measured(config: LoadtestConfig) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The result, and what was kept on the way."""
    kept: list[dict[str, Any]] = []
    result = loadtest(config, lambda value: kept.append(json.loads(json.dumps(value))))
    return result, kept


@pytest.mark.parametrize("truth", [12.0, 57.0, 99.0])
def test_the_search_finds_the_highest_rate(truth: float) -> None:
    asked: list[float] = []

    def holds(rate: float) -> bool:
        asked.append(rate)
        return rate <= truth

    found = highest_rate(holds, 10.0, 100.0)
    assert found is not None
    assert truth / 1.05 <= found <= truth
    assert len(asked) <= 8
    assert asked.count(found) == 2
    assert highest_rate(lambda rate: rate < 10, 10.0, 100.0) is None


def test_a_rate_that_held_once_by_luck_is_not_the_answer() -> None:
    """60 holds the first time only; whatever comes lower holds."""
    seen: set[float] = set()

    def holds(rate: float) -> bool:
        lucky = rate not in seen
        seen.add(rate)
        return rate <= 50 or (rate <= 60 and lucky)

    found = highest_rate(holds, 10.0, 100.0)
    assert found is not None
    assert 50 / 1.05 <= found <= 50 * 1.05


def test_an_engine_in_process(onnx_artifact: Path) -> None:
    config = LoadtestConfig(str(onnx_artifact), limit_ms=5000, seconds=0.2, threads=1)
    result, kept = measured(config)
    assert result["target"] == {"kind": "engine", "model": "onnx", "precision": "fp32", "layers": 2, "device": "cpu"}
    assert [run["scenario"] for run in result["runs"][:3]] == ["SingleStream", "Offline", "Server"]
    for run in result["runs"]:
        assert run["samples"] >= 100 or run["scenario"] == "Offline"
        assert 0 < run["p50_ms"] <= run["p90_ms"] <= run["p99_ms"] <= run["max_ms"]
    best = result["server"]
    # A rate that does not hold may be refused; what holds never is.
    assert all(run["refused"] == {} for run in result["runs"] if run.get("rate") in (None, best["rate"]))
    rates = [run["rate"] for run in result["runs"] if run["scenario"] == "Server"]
    assert rates.count(best["rate"]) >= 2 or best["rate"] == min(rates)
    assert best["p99_ms"] <= 5000
    assert kept[-1] == json.loads(json.dumps(result))
    assert len(kept) == len(result["runs"]) + 1
    drawn = chart(result)
    assert drawn.count("<path") == 4
    assert "limit 5000 ms" in drawn
    assert str(onnx_artifact.parent) not in json.dumps(result)
    assert render(result).renderables[-1] == (
        f"{best['rate']:.1f} requests/s hold p99 at 5000 ms (MLPerf-style, no MLPerf result)"
    )


def test_a_server_over_http(onnx_artifact: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with (
        log.open("w") as stderr,
        subprocess.Popen([sys.executable, "-c", SERVER, str(onnx_artifact)], stderr=stderr) as server,
    ):
        try:
            while not (said := re.search(r"http://\S+", log.read_text())):
                assert server.poll() is None
                time.sleep(0.05)
            result, _ = measured(LoadtestConfig(said[0], limit_ms=5000, seconds=0.2))
        finally:
            server.kill()
    assert (result["target"]["kind"], result["target"]["model"], result["target"]["layers"]) == ("url", "onnx", 2)
    assert result["server"]["p99_ms"] <= 5000
    assert result["server"]["samples"] >= 100
    assert all(run["refused"] == {} for run in result["runs"])


def test_texts_are_asked_as_given_and_offline_in_large_requests() -> None:
    texts = (("one",), ("two",), ("three",))
    with stand_in() as stand:
        result, _ = measured(LoadtestConfig(stand.url, limit_ms=5000, seconds=0.2, texts=texts))
    asked = stand.asked
    assert {text for inputs in asked for text in inputs} == {"one", "two", "three"}
    single, offline = result["runs"][:2]
    assert all(len(inputs) == 1 for inputs in asked[: single["samples"]])
    # The request of the largest size is that of a query of all samples, which only Offline asks.
    assert max(map(len, asked)) == INFO["limits"]["max_texts"]  # type: ignore[index]
    assert sum(len(inputs) for inputs in asked) == sum(run["samples"] for run in result["runs"])
    assert offline["samples"] > 4


def test_a_limit_that_no_rate_holds_names_the_nearest_miss() -> None:
    kept: list[dict[str, Any]] = []
    message = r"no rate holds p99 at 0.001 ms; the nearest: .* ms at .* requests/s"
    with stand_in() as stand, pytest.raises(QualityGateError, match=message):
        loadtest(LoadtestConfig(stand.url, limit_ms=0.001, seconds=0.2), kept.append)
    assert kept[-1]["server"] is None
    assert kept[-1]["nearest"] == kept[-1]["runs"][2]
    assert "no rate holds" in kept[-1]["failure"]


def test_a_rate_at_which_requests_are_refused_does_not_hold() -> None:
    """SingleStream and Offline are answered; then every request is refused."""
    kept: list[dict[str, Any]] = []
    with stand_in() as stand:

        def keep(result: dict[str, Any]) -> None:
            kept.append(result)
            stand.statuses |= dict.fromkeys(range(10**4), 429) if len(result["runs"]) == 2 else {}

        with pytest.raises(QualityGateError, match=r"no rate holds .* requests were refused \(HTTP 429\)"):
            loadtest(LoadtestConfig(stand.url, limit_ms=5000, seconds=0.2), keep)
    assert kept[-1]["nearest"]["refused"] == {"HTTP 429": kept[-1]["nearest"]["samples"]}


def test_a_server_that_refuses_without_load_is_not_tested() -> None:
    with stand_in() as stand:
        stand.statuses[3] = 422
        with pytest.raises(ReplankError, match="requests were refused before there was any load: HTTP 422"):
            measured(LoadtestConfig(stand.url, limit_ms=5000, seconds=0.2))


def test_a_server_that_dies_in_the_middle_ends_the_test_and_what_was_measured_is_kept(
    replank: Replank, tmp_path: Path
) -> None:
    with stand_in(dies_after=400) as stand:
        done = replank("loadtest", stand.url, tmp_path / "out", "--limit", "5s", "--seconds", "0.2")
    assert done.code == 1
    assert error_lines(done)[0].startswith(f"error: {stand.url} does not answer: ")
    result = json.loads((tmp_path / "out" / "loadtest.json").read_text(encoding="utf-8"))
    assert result["failure"] == error_lines(done)[0].removeprefix("error: ")
    assert [run["scenario"] for run in result["runs"]][:1] == ["SingleStream"]
    assert (tmp_path / "out" / "loadtest.svg").exists()


def test_a_url_where_nothing_listens(replank: Replank, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    done = replank("loadtest", url, tmp_path / "out", "--limit", "50ms")
    assert done.code == 1
    assert error_lines(done)[0] == f"error: {url} does not answer: Connection refused"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("x", "--limit", "50"), 2, "--limit 50 has no unit; expected a number and one of us, ms, s"),
        (("x", "--limit", "50parsec"), 2, "--limit 50parsec: unknown unit 'parsec'"),
        (("x", "--limit", "-5ms"), 2, "--limit -5ms: no amount above 0"),
        (("x", "--limit", "5ms", "--seconds", "0"), 2, "--seconds 0.0: expected more than 0"),
        (("ftp://host", "--limit", "5ms"), 2, "ftp://host is no URL of a server"),
        (("no/such/folder", "--limit", "5ms"), 1, "there is no folder no/such/folder"),
        (("x", "--limit", "5ms", "--texts", "no.txt"), 1, "cannot read --texts no.txt"),
    ],
)
def test_bad_input_is_one_clear_error(
    replank: Replank, tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    name, *flags = arguments
    done = replank("loadtest", name, tmp_path / "out", *flags)
    assert done.code == code
    assert error_lines(done)[0].startswith(f"error: {message}")
    assert not (tmp_path / "out").exists()


def test_an_earlier_result_is_not_overwritten_unasked(replank: Replank, tmp_path: Path) -> None:
    (tmp_path / "loadtest.json").write_text("{}", encoding="utf-8")
    done = replank("loadtest", "x", tmp_path, "--limit", "50ms")
    assert (done.code, error_lines(done)[0]) == (2, f"error: {tmp_path} holds a result")


def test_pairs_are_asked_of_a_model_of_pairs(pair_onnx_artifact: Path) -> None:
    name = str(pair_onnx_artifact)
    with pytest.raises(UsageError, match="takes pairs of texts, and"):
        loadtest(LoadtestConfig(name, limit_ms=5000, texts=(("single",),)), lambda _: None)
    result, _ = measured(LoadtestConfig(name, limit_ms=5000, seconds=0.1, texts=(("a film", "a plot"),), threads=1))
    assert result["server"]["samples"] >= 100


def test_units() -> None:
    assert [milliseconds(text, "-") for text in ("5ms", "0.5 s", "800us", "2e3MS")] == [5, 500, 0.8, 2000]
    assert [size_in_bytes(text, "-") for text in ("50MB", "1kB", "2MiB", "7b")] == [50_000_000, 1000, 2 * 2**20, 7]
    assert [per_second(text, "-") for text in ("200/s", "120/min")] == [200, 2]
    for wrong in ("", "ms", "5", "5 MB", "nanms", "1e999s", "٥ms"):
        with pytest.raises(UsageError, match="expected a number and one of us, ms, s"):
            milliseconds(wrong, "--limit")

"""Replicas on Ray Serve: two on one machine, one of them killed under load, and the end by a signal."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from commands import replank_process
from replank.runtime.model import Model
from replank.system.errors import UsageError
from replank_serve.http.config import ServeConfig
from replank_serve.ray_app import RayConfig, application, build, run_on_ray

DEPLOY = Path(__file__).parents[2] / "deploy" / "ray.yaml"
CLIENTS = 6
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra ray is not installed")


def processes(root: int, title: str = "") -> set[int]:
    """The descendants of a process whose command line begins with a title."""
    parents, titles = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parents[int(folder.name)] = int((folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
            titles[int(folder.name)] = (folder / "cmdline").read_text(encoding="utf-8", errors="replace")

    def descends(pid: int) -> bool:
        while pid in parents and pid != root:
            pid = parents[pid]
        return pid == root

    return {pid for pid in parents if pid != root and titles.get(pid, "").startswith(title) and descends(pid)}


class Server:
    """`replank serve --ray` in a process of its own, with two replicas."""

    def __init__(self, artifact: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        flags = ["--ray", "--replicas", 2, "--threads", 1, "--port", port, "--drain-seconds", 5]
        self.process = replank_process("serve", f"tiny={artifact}", *flags)
        assert self.process.stderr
        # Ray has words of its own to say before.
        self.first_line = next((line for line in self.process.stderr if line.startswith(("serving", "error"))), "")

    def replicas(self) -> set[int]:
        return processes(self.process.pid, "ray::ServeReplica:replank")

    def post(self, client: httpx.Client, text: str = "a good film") -> int:
        try:
            return client.post(f"{self.url}/predict", json={"inputs": text}, timeout=30).status_code
        except httpx.HTTPError:
            return 0


@pytest.fixture(scope="module")
def server(onnx_artifact: Path) -> Iterator[Server]:
    running = Server(onnx_artifact)
    everybody = processes(running.process.pid)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.communicate()
        for pid in everybody:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


pytestmark = pytest.mark.filterwarnings("ignore")  # of Ray, at import


@needs_ray
@pytest.mark.slow
def test_a_replica_killed_under_load_costs_what_it_was_at_and_no_more(server: Server, model: Model) -> None:
    assert server.first_line == f"serving tiny on {server.url} with Ray (docs: /docs)\n"
    with httpx.Client() as client:
        body = client.post(f"{server.url}/v2/models/tiny/infer", json=_infer("a good film")).json()
        label = max(zip(model.logits(["a good film"])[0], model.task.labels, strict=True))[1]
        assert next(output["data"] for output in body["outputs"] if output["name"] == "label") == [label]
        assert client.get(f"{server.url}/ready").status_code == 200
    before = server.replicas()
    assert len(before) == 2
    stop, codes = threading.Event(), Counter[int]()

    def ask(_: int) -> None:
        with httpx.Client() as client:
            while not stop.is_set():
                codes[server.post(client)] += 1

    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = pool.map(ask, range(CLIENTS))
        time.sleep(2)
        asked = codes.total()
        os.kill(min(before), signal.SIGKILL)
        deadline = time.monotonic() + 60
        while len(server.replicas() - {min(before)}) < 2 and time.monotonic() < deadline:
            time.sleep(0.2)
        time.sleep(2)
        stop.set()
        list(clients)
    assert len(server.replicas() - before) == 1, "no new replica came"
    assert codes[200] > asked > 0
    # What the dead replica was at; each client has one request in flight.
    assert codes.total() - codes[200] <= CLIENTS, codes
    with httpx.Client() as client:
        assert {server.post(client) for _ in range(40)} == {200}


@needs_ray
@pytest.mark.slow
def test_a_signal_answers_what_is_in_flight_and_leaves_no_process(server: Server) -> None:
    everybody = processes(server.process.pid)
    assert len(everybody) > 3
    body = json.dumps({"inputs": ["a good film"] * 4}).encode()
    head = f"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
    with socket.create_connection(address, timeout=20) as one, socket.create_connection(address, timeout=20) as other:
        for connection in (one, other):
            connection.sendall(head.encode() + b"connection: close\r\n\r\n" + body[:9])
        time.sleep(1)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(1)
        for connection in (one, other):
            connection.sendall(body[9:])
        for connection in (one, other):
            assert connection.makefile("rb").readline() == b"HTTP/1.1 200 OK\r\n"
    assert server.process.wait(40) == 0
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}/cmdline").exists() and _lives(pid) for pid in everybody):
        assert time.monotonic() < deadline, "processes are left"
        time.sleep(0.2)


def _lives(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    return False


def _infer(text: str) -> dict[str, Any]:
    return {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": [text]}]}


@needs_ray
def test_the_file_for_a_cluster_fits_rays_schema_and_our_settings() -> None:
    from ray.serve.schema import ServeDeploySchema

    values = yaml.safe_load(DEPLOY.read_text(encoding="utf-8"))
    (described,) = ServeDeploySchema.model_validate(values).applications
    assert described.import_path == "replank_serve.ray_app:build"
    deployment = build(described.args)._bound_deployment
    autoscaling = deployment._deployment_config.autoscaling_config
    assert (autoscaling.min_replicas, autoscaling.max_replicas, autoscaling.target_ongoing_requests) == (2, 8, 32)
    assert deployment.ray_actor_options["num_cpus"] == 4
    assert deployment.max_ongoing_requests == 256
    assert deployment._deployment_config.backpressure_config.status_code == 429
    # Ray's own deadline lies behind ours.
    assert values["http_options"]["request_timeout_s"] > described.args["serve"]["timeout_seconds"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"models": {"a": "b"}, "replica": 2}, "the args of the application: .*'replica'"),
        ({"models": {"a": "b"}, "replicas": 0}, "`replicas` is 0; expected at least 1"),
        ({"models": {"a": "b"}, "replicas": 3, "max_replicas": 2}, "`max_replicas` is 2; expected at least 3"),
        ({"models": {"a": "b"}, "device": "auto"}, "`device` is auto; expected one of cpu, cuda"),
        ({"models": {"a": "b"}, "serve": {"max_batch": 0}}, "`max_batch` is 0"),
    ],
)
def test_settings_that_cannot_work_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(arguments)


def test_what_only_one_process_can_do_is_refused(model: Model) -> None:
    with pytest.raises(UsageError, match="`allow_load` does not work with `ray`"):
        application(RayConfig({"a": "b"}), ServeConfig(loader=lambda _: model))
    with pytest.raises(UsageError, match="`port` is 0; expected the same port on every machine"):
        run_on_ray(RayConfig({"a": "b"}), ServeConfig(port=0))

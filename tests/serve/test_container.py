"""The image itself, as far as it goes without a container engine: see tests/container/replay.py."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockerfile import values
from replay import Stage, build, execute, first_process, run_step, running, size_mb, stop, wait_until_healthy

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root makes root file systems"),
    pytest.mark.skipif(shutil.which("debootstrap") is None, reason="debootstrap is not installed"),
]
ASK = """
import json, sys, urllib.request
headers = {"content-type": "application/json"}
request = urllib.request.Request("http://127.0.0.1:8080/predict", sys.argv[1].encode(), headers)
print(urllib.request.urlopen(request, timeout=600).read().decode())
"""


@pytest.fixture(scope="module")
def image(int8_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("image")
    yield build(int8_artifact, folder, {"RUNTIME": "cpu"})
    shutil.rmtree(folder)


def test_it_holds_the_server_and_no_more(image: Stage) -> None:
    packages = {path.name for path in image.root.glob("opt/replank/lib/python3*/site-packages/*")}
    assert {"replank", "replank_serve", "onnxruntime", "fastapi"} <= packages
    assert not {"torch", "transformers", "onnx", "pip", "pytest"} & packages
    assert size_mb(image.root, "opt/replank") < 300
    assert not (image.root / "source").exists()


def test_it_serves_read_only_as_nobody_and_stops_cleanly(image: Stage) -> None:
    with running(image) as process:
        wait_until_healthy(image, process)
        status = Path(f"/proc/{first_process(process)}/status").read_text(encoding="utf-8")
        assert "\nUid:\t10001\t10001\t10001\t10001\n" in status
        assert "\nGid:\t10001\t10001\t10001\t10001\n" in status
        assert "\nNSpid:\t" in status
        assert status.split("NSpid:\t")[1].split("\n")[0].split()[-1] == "1"
        assert "Read-only" in execute(image, process, "sh", "-c", "touch /model/file /tmp/file").stderr
        answer = execute(image, process, "python", "-c", ASK, json.dumps({"inputs": "a good film"}))
        assert json.loads(answer.stdout)[0]["label"] == "positive", answer.stderr
        # No way out: nothing is fetched and nobody is told.
        assert execute(
            image, process, "python", "-c", "import socket; socket.create_connection(('1.1.1.1', 53), 1)"
        ).returncode
        assert stop(image, process) == 0


def test_a_health_check_of_a_server_that_is_not_there_fails(image: Stage) -> None:
    command = ["chroot", str(image.root), *image.healthcheck]
    done = subprocess.run(command, env=image.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1


def test_a_damaged_artifact_ends_the_build(image: Stage) -> None:
    check = values("RUN")[-1]
    graph = image.root / "model" / "model.onnx"
    whole = graph.read_bytes()
    run_step(image, check, {})
    graph.write_bytes(whole[:1000] + bytes([whole[1000] ^ 1]) + whole[1001:])
    try:
        with pytest.raises(SystemExit, match=r"(?s)RUN \[\"replank\".*/model/model.onnx is damaged"):
            run_step(image, check, {})
    finally:
        graph.write_bytes(whole)

"""The benchmark that needs a GPU: tried on the CPU with tiny models, and what it says where there is none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from block_text import RESULTS
from documents import ROOT, read
from gpu import do_part, main
from gpu_block import gpu_table
from gpu_parts import Bench

SCRIPT = ROOT / "benchmarks" / "gpu.py"


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What it writes of the CPU, in a process of its own."""
    work = tmp_path_factory.mktemp("gpu")
    out = work / "gpu.json"
    command = [sys.executable, str(SCRIPT), "--device", "cpu", "--tiny", "--work", str(work), "--out", str(out)]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=one_thread)
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text(encoding="utf-8"))


def test_the_result_names_the_device_and_every_part(result: Any) -> None:
    assert set(result["device"]) == {"device", "name"}
    assert result["failed"] == {}
    assert list(result["parts"]) == ["doctor", "numbers", "sessions", "attention", "speed", "serving"]
    assert "device cpu" in {check["name"] for check in result["parts"]["doctor"]["checks"]}


def test_numbers_are_within_and_nothing_is_elsewhere(result: Any) -> None:
    for precision in ("fp32", "fp16"):
        found = result["parts"]["numbers"][precision]
        assert (found["within"], found["on_host"]) == (True, {})
        assert found["max_abs"] <= found["tolerance"]


def test_every_way_to_run_a_session_gives_the_same_logits(result: Any) -> None:
    sessions = result["parts"]["sessions"]
    assert sessions["left_out"] == {"CUDA graph": "CPUExecutionProvider has no enable_cuda_graph"}
    for cell in sessions["shapes"]:
        assert set(cell["differences"]) == {"plain", "bound"}
        assert max(cell["differences"].values()) <= 1e-6
    assert set(sessions["lengths"]["ways"]) == {"plain", "plain, padded"}


def test_what_was_timed_is_what_was_asked(result: Any) -> None:
    parts = result["parts"]
    assert {(cell["batch_size"], cell["padding"]) for cell in parts["attention"]["cells"]} == {
        (rows, padding) for rows in (1, 2) for padding in ("none", "right")
    }
    models = [model["name"] for model in parts["speed"]["models"]]
    assert models == ["torch-2", "torch-1", "onnx-2-fp16", "onnx-1-fp16"]
    assert {(row["round"], row["clients"], row["way"]) for row in parts["serving"]["rounds"]} == {
        (number, 2, way) for number in (0, 1) for way in ("engine", "server")
    }
    assert all(row["errors"] == 0 and row["per_second"] > 0 for row in parts["serving"]["rounds"])


def test_a_part_that_is_done_is_not_done_again_unless_elsewhere(tmp_path: Path) -> None:
    results = iter(range(3))

    def do(device: str) -> int:
        return int(do_part("a", lambda: {"number": next(results)}, {"name": device}, tmp_path)["number"])

    assert [do("one"), do("one"), do("other"), do("other"), do("one")] == [0, 0, 1, 1, 2]


def test_a_part_that_fails_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Bench) -> dict[str, Any]:
        raise RuntimeError("out of memory")

    monkeypatch.setattr("gpu.PARTS", {"doctor": fail, "numbers": lambda bench: {"device": bench.device}})
    out = tmp_path / "gpu.json"
    done = CliRunner().invoke(main, ["--device", "cpu", "--tiny", "--work", str(tmp_path / "work"), "--out", str(out)])
    assert done.exit_code == 1
    written = json.loads(out.read_text(encoding="utf-8"))
    assert written["failed"] == {"doctor": "RuntimeError: out of memory"}
    assert written["parts"]["numbers"]["device"] == "cpu"


def test_the_docs_have_a_table_of_it(result: Any) -> None:
    lines = gpu_table(result).splitlines()
    assert lines[0] == "| batch x tokens | torch-2, ms | torch-1, ms | onnx-2-fp16, ms | onnx-1-fp16, ms |"
    assert [line.split(" |")[0] for line in lines[2:4]] == ["| 1 x 16", "| 2 x 16"]
    assert f"Measured on {result['device']['name']}; torch {torch.__version__}" in " ".join(lines)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_it_says_what_is_missing(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["--work", str(tmp_path), "--out", str(tmp_path / "gpu.json")])
    assert done.exit_code == 2
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: no GPU can be measured here; missing: ")
    assert "torch" in error
    assert hint == "hint: --device cpu --tiny runs the same code on the CPU"
    assert list(tmp_path.iterdir()) == []


def test_readme_and_docs_say_that_no_gpu_was_used_until_one_was() -> None:
    said = {
        "README.md": "GPUs (nothing has been run on one yet)",
        "docs/supported.md": "Nothing has been run on one yet",
        "docs/results/index.md": "Nothing was measured on a GPU yet",
        "docs/results/speed.md": "Nothing was measured on a GPU yet",
    }
    was_used = (RESULTS / "gpu.json").exists()
    assert {name: sentence in read(ROOT / name) for name, sentence in said.items()} == dict.fromkeys(said, not was_used)

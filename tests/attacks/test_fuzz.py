"""A real server and requests that nobody would send on purpose."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from commands import replank_process
from waiting import HANG_SECONDS

ROOT = Path(__file__).parents[2]


@contextmanager
def serving(folder: Path, *arguments: object) -> Iterator[str]:
    """The address of `replank serve` with some arguments; it ends as it should."""
    log = folder / "log"
    with (
        log.open("w", encoding="utf-8") as stderr,
        replank_process("serve", *arguments, "--port", 0, stderr=stderr) as process,
    ):
        try:
            while not (match := re.search(r" on (http://\S+) ", log.read_text(encoding="utf-8"))):
                assert process.poll() is None, log.read_text(encoding="utf-8")
                time.sleep(0.05)
            yield match[1]
        finally:
            process.terminate()
    assert process.returncode == 0


def test_malformed_requests_harm_nothing(onnx_artifact: Path) -> None:
    """`benchmarks/fuzz.py` sends ten thousand."""
    fuzz = [sys.executable, str(ROOT / "benchmarks" / "fuzz.py"), str(onnx_artifact), "--requests", "400"]
    done = subprocess.run(fuzz, capture_output=True, text=True, check=False, timeout=HANG_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert result["answers_as_before"] is True
    assert result["faults"] == {}
    # A body that is too large may find its connection closed before the answer is read: 413 is not sure to be seen.
    assert {"200", "400", "404", "405", "415", "422"} <= set(result["outcomes"])


def test_answers_are_as_the_description_says(onnx_artifact: Path, tmp_path: Path) -> None:
    """What the description allows may still not fit the model's task: that alone is not checked."""
    with serving(tmp_path, f"model={onnx_artifact}") as url:
        command = [str(Path(sys.executable).with_name("st")), "run", f"{url}/openapi.json", "--seed", "0", "--no-color"]
        limits = ["--max-examples", "5", "--exclude-checks", "positive_data_acceptance"]
        phases = ["--phases", "examples,coverage,fuzzing"]
        done = subprocess.run(
            [*command, *limits, *phases],
            capture_output=True,
            text=True,
            check=False,
            timeout=HANG_SECONDS,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        tested = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
        assert tested
        assert int(tested[2]) >= 100
        assert httpx.post(f"{url}/predict", json={"inputs": "good film"}, timeout=HANG_SECONDS).status_code == 200


def test_models_have_the_names_that_the_command_line_gives(
    onnx_artifact: Path, pair_onnx_artifact: Path, tmp_path: Path
) -> None:
    arguments = (onnx_artifact, f"pairs={pair_onnx_artifact}", "--cors-origin", "*", "--max-texts", 2)
    loading = ("--allow-load", "--model-root", onnx_artifact.parent)
    keys = tmp_path / "keys"
    keys.write_text("correct-horse-battery\n", encoding="utf-8")
    key = {"authorization": "Bearer correct-horse-battery"}
    with serving(tmp_path, *arguments, *loading, "--api-key-file", keys) as url:
        assert httpx.get(f"{url}/models", timeout=HANG_SECONDS).status_code == 401
        with httpx.Client(base_url=url, headers=key, timeout=HANG_SECONDS) as http:
            info = http.get("/info?model=pairs").json()
            assert (info["models"], info["task"]["is_pair"]) == (["onnx", "pairs"], True)
            assert info["limits"]["max_texts"] == 2
            assert http.post("/predict", json={"inputs": ["a", "b", "c"]}).status_code == 413
            assert http.get("/models", headers={"origin": "https://a.example"}).headers["access-control-allow-origin"]
            assert http.post("/models/more", json={"folder": str(onnx_artifact)}).status_code == 200
            assert http.delete("/models/onnx").status_code == 200
            assert http.get("/info").json()["name"] == "pairs"

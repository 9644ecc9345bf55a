"""Folders of replank in Optimum, and Optimum's in replank. `make interop` builds Optimum's environment."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from app_client import expected, post, with_app
from commands import Replank, error_lines
from replank.data.config import DataConfig
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.tasks.kinds import KINDS
from replank_serve.engine.engine import Engine
from tiny import sentences, tiny_settings, write_tokenizer

ROOT = Path(__file__).parents[2]
OPTIMUM = ROOT / ".venv-interop" / "bin"
TEXTS = [text for text, _ in sentences(12, seed=5)]
pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(not OPTIMUM.exists(), reason="make interop builds the environment with Optimum's ONNX part"),
]


def in_optimum(program: str, *arguments: object) -> str:
    offline = os.environ | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [OPTIMUM / program, *map(str, arguments)], capture_output=True, text=True, env=offline, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def optimums_answers(folder: Path, kind: str) -> dict[str, Any]:
    head = KINDS[kind]
    script = ROOT / "tests" / "interop" / "answers.py"
    found: dict[str, Any] = json.loads(in_optimum("python", script, folder, head.head, head.pipeline, *TEXTS))
    return found


def our_logits(folder: Path) -> NDArray[np.float32]:
    """Of all texts in one batch: INT8's numbers depend on what is in it."""
    model = load_model(open_source(folder), threads=1)
    return model.predictor(model.text_encoder.pad(model.text_encoder.tokenize(TEXTS)))


# Ours in Optimum


@pytest.mark.parametrize("kind", ["onnx", "int8"])
def test_optimum_gives_our_answers(request: pytest.FixtureRequest, kind: str) -> None:
    folder: Path = request.getfixturevalue(f"{kind}_artifact")
    found = optimums_answers(folder, "classification")
    ours = our_logits(folder)
    assert np.ptp(ours[:, 0]) > 0.2
    np.testing.assert_allclose(np.array(found["logits"]), ours, atol=1e-5, rtol=0)
    # The pipeline asks one text at a time, which INT8 answers a little differently.
    task = open_source(folder).task
    likeliest = [scores[0] for scores in task.kind.scores(task.labels, ours)]
    assert [said["label"] for said in found["pipeline"]] == [score.label for score in likeliest]
    scores = [said["score"] for said in found["pipeline"]]
    np.testing.assert_allclose(scores, [score.score for score in likeliest], atol=1e-5 if kind == "onnx" else 0.05)


def test_optimum_labels_our_tokens(replank: Replank, tmp_path: Path) -> None:
    import torch
    from transformers import BertConfig, BertForTokenClassification

    torch.manual_seed(0)
    names = {0: "O", 1: "B-PER", 2: "I-PER"}
    model = BertForTokenClassification(BertConfig(**tiny_settings(id2label=names, initializer_range=0.2)))
    model.save_pretrained(tmp_path / "torch")
    write_tokenizer(tmp_path / "torch")
    done = replank("export", tmp_path / "torch", tmp_path / "onnx")
    assert done.code == 0, done.err
    found = optimums_answers(tmp_path / "onnx", "token-classification")
    ours = our_logits(tmp_path / "torch")
    assert ours.shape[2] == 3
    np.testing.assert_allclose(np.array(found["logits"]), ours, atol=1e-5, rtol=0)
    assert {word["entity"] for said in found["pipeline"] for word in said} <= {"O", "B-PER", "I-PER"}


# Optimum's here


@pytest.fixture(scope="session", params=["plain", "O2"])
def exported(request: pytest.FixtureRequest, predecessor: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("optimum") / str(request.param)
    flags = ("--optimize", "O2") if request.param == "O2" else ()
    in_optimum("optimum-cli", "export", "onnx", "--model", predecessor, "--task", "text-classification", *flags, out)
    return out


def test_we_give_the_answers_of_the_model_that_optimum_exported(
    replank: Replank, exported: Path, predecessor: Path, data: DataConfig
) -> None:
    np.testing.assert_allclose(our_logits(exported), our_logits(predecessor), atol=1e-5, rtol=0)
    flags = ("--data", data.data, "--text", "sentence", "--max-length", data.max_length, "--json")
    theirs, ours = (json.loads(replank("evaluate", path, *flags).out) for path in (exported, predecessor))
    assert theirs == ours | {"model": str(exported)}
    speed = replank("benchmark", exported, "--rounds", 1, "--batch-size", 1, "--length", 8, "--json")
    assert json.loads(speed.out)["models"][0]["kind"] == "onnx", speed.err


def test_we_serve_it(exported: Path) -> None:
    model = load_model(open_source(exported), threads=1)

    async def client(http: httpx.AsyncClient, engine: Engine) -> None:
        answer = await post(http, {"inputs": TEXTS[:3]})
        assert answer.json() == expected(model, TEXTS[:3])

    with_app(model, client)


def test_left_padding_is_what_verify_finds_in_optimums_fusions(
    replank: Replank, exported: Path, predecessor: Path
) -> None:
    """Its attention counts tokens from the left instead of reading the mask; the plain graph reads it."""
    done = replank("verify", predecessor, exported, "--json")
    wrong = {case["case"] for case in json.loads(done.out)["cases"] if case["max_abs"] > 1e-4}
    if exported.name == "plain":
        assert (done.code, wrong) == (0, set())
    else:
        assert done.code == 3
        assert {"left padding", "holes"} <= wrong
        assert not wrong & {"right padding", "batch of one", "length one", "maximal length"}


def test_what_optimum_quantized_is_known_as_int8(
    replank: Replank, exported: Path, predecessor: Path, tmp_path: Path
) -> None:
    if exported.name != "plain":
        pytest.skip("Optimum cannot quantize what it optimized")
    out = tmp_path / "int8"
    in_optimum("optimum-cli", "onnxruntime", "quantize", "--onnx_model", exported, "-o", out, "--avx2")
    lines = error_lines(replank("predict", out, "a text"))
    assert lines[1].endswith("in a copy of the folder, rename model_quantized.onnx to it")
    shutil.move(out / "model_quantized.onnx", out / "model.onnx")
    assert open_source(out).precision == "int8"
    np.testing.assert_allclose(our_logits(out), our_logits(predecessor), atol=0.2, rtol=0)
    again = error_lines(replank("quantize", out, tmp_path / "again"))
    assert "is quantized already" in again[0]

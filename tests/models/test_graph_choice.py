"""A model with several graphs, as the hub has them: which is taken, and which are not there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import replank as library
from commands import Replank, error_lines
from replank.models.source import open_source
from replank.models.weights import Weights
from replank.system.errors import ModelError, UsageError


@pytest.fixture
def several(plain: Path, onnx_artifact: Path, int8_artifact: Path) -> Path:
    """A torch model with its successor's graphs in ``onnx``."""
    (plain / "onnx").mkdir()
    shutil.copy(onnx_artifact / "model.onnx", plain / "onnx/model.onnx")
    shutil.copy(int8_artifact / "model.onnx", plain / "onnx/model_qint8_avx512.onnx")
    return plain


def test_a_graph_is_taken_where_it_is_asked_for(several: Path, onnx_artifact: Path, replank: Replank) -> None:
    assert open_source(several).kind == "torch"
    fp32, int8 = (open_source(several, f"onnx/{name}.onnx") for name in ("model", "model_qint8_avx512"))
    assert (fp32.kind, fp32.precision, int8.kind, int8.precision) == ("onnx", "fp32", "onnx", "int8")
    assert fp32.digest == Weights.of(onnx_artifact, "onnx").digest != int8.digest
    done = replank("predict", several, "a good film", "--file", "onnx/model.onnx")
    assert done.out == replank("predict", onnx_artifact, "a good film").out


def test_the_usual_graph_is_taken_without_safetensors(several: Path) -> None:
    (several / "model.safetensors").unlink()
    source = open_source(several)
    assert (source.kind, source.model_file) == ("onnx", several / "onnx/model.onnx")
    shutil.move(several / "onnx/model.onnx", several / "onnx/model_fp16.onnx")
    with pytest.raises(ModelError, match=r"has no model.onnx; it holds onnx/model_fp16.onnx, onnx/model_q") as refusal:
        open_source(several)
    assert refusal.value.hint == "choose one: `file=onnx/model_fp16.onnx`"
    assert open_source(several, "onnx/model_fp16.onnx").precision == "fp16"


@pytest.mark.parametrize("file", ["onnx/model_int8.onnx", "../model.onnx", "config.json"])
def test_what_is_no_graph_of_it_is_refused(several: Path, file: str) -> None:
    shutil.copy(several / "onnx/model.onnx", several.parent / "model.onnx")
    with pytest.raises(ModelError, match=r"has no graph .*; it holds onnx/model.onnx, onnx/model_qint8_avx512.onnx"):
        open_source(several, file)


def test_an_artifact_has_one_graph(onnx_artifact: Path, several: Path, replank: Replank) -> None:
    with pytest.raises(UsageError, match=r"`file` chooses a graph of a plain folder, and .* is an artifact"):
        open_source(onnx_artifact, "model.onnx")
    refused = replank("serve", several, onnx_artifact, "--file", "onnx/model.onnx")
    assert error_lines(refused)[0] == "error: --file chooses a graph of one model, served without --ray"


def test_every_function_takes_it(several: Path, data: library.Data) -> None:
    chosen = library.open_model(several, "onnx/model.onnx")
    assert library.load(chosen).source is chosen
    assert library.evaluate(chosen, data=data).rows == library.evaluate(several, data=data).rows

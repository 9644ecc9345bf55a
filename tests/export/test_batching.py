"""INT8 answers that do not depend on the batch: which texts share it, and how much padding they bring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from replank.data.config import DataConfig
from replank.models.artifact import Artifact
from replank.models.int8_facts import Int8Facts
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.runtime.model import Model
from replank.runtime.predictors import Logits, OnnxPredictor
from replank.runtime.session import open_session
from replank.text.tokens import Tokens
from replank_export.convert import ExportConfig, export
from replank_export.int8 import DynamicInt8, Int8Config, StaticInt8
from replank_export.quantize import quantize
from replank_export.verify.batching import batch_difference
from replank_export.verify.compare import answers
from small_models import save_model

TEXTS = ["a moving film", "bad", "the plot is thin but the cast is wonderful and funny", "not a good film , a long one"]
ODD = "! " * 60


def probabilities(logits: Logits) -> Logits:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def together(model: Model, texts: Sequence[Tokens]) -> list[Logits]:
    return [probabilities(row) for row in answers(model, model.text_encoder.pad(texts))]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("config", [DynamicInt8(allow_slower=True), StaticInt8(allow_slower=True, calibration_rows=32)])
def test_an_answer_is_the_same_whoever_shares_the_batch(
    config: Int8Config, threads: int, onnx_artifact: Path, data: DataConfig, tmp_path: Path
) -> None:
    artifact = quantize(open_source(onnx_artifact), tmp_path / "int8", replace(config, max_drop=1.0), data)
    model = load_model(open_source(artifact.path), threads=threads)
    *texts, odd = model.text_encoder.tokenize([*TEXTS, ODD])
    alone = [together(model, [text])[0] for text in texts]
    batches: dict[str, Any] = {
        "each other": together(model, texts),
        "themselves": [row for text in texts for row in together(model, [text] * 16)[-1:]],
        "an odd mate": [row for text in texts for row in together(model, [text, odd])[:1]],
        "many": together(model, [*texts, *[odd] * 12])[: len(texts)],
    }
    for batch, found in batches.items():
        for one, other in zip(alone, found, strict=True):
            np.testing.assert_allclose(other, one, atol=1e-4, err_msg=batch)
    facts = artifact.manifest.made_by.facts_of(Int8Facts)
    assert facts.batch_difference is not None
    assert facts.batch_difference <= 1e-4
    assert facts.is_batch_invariant


@pytest.mark.parametrize("model_type", ["roberta", "mpnet", "distilbert"])
def test_it_is_so_for_other_encoders(model_type: str, tmp_path: Path) -> None:
    folder = save_model(model_type, tmp_path / "torch")
    exported = export(open_source(folder), tmp_path / "onnx", ExportConfig(allow_unfused=True))
    artifact = quantize(open_source(exported.path), tmp_path / "int8", DynamicInt8(allow_slower=True))
    difference = artifact.manifest.made_by.facts_of(Int8Facts).batch_difference
    assert difference is not None
    assert difference <= 1e-4


def test_one_scale_for_a_batch_is_told_of(onnx_artifact: Path, tmp_path: Path) -> None:
    """ONNX Runtime's own dynamic INT8 of the same graph: what the measure is there to see."""
    from onnxruntime.quantization import quantize_dynamic

    path = tmp_path / "model.onnx"
    with DynamicInt8().prepare(onnx_artifact / "model.onnx") as graph:
        graph.write(path, graph.linear_layers)
    quantize_dynamic(
        str(path),
        str(path),
        op_types_to_quantize=["MatMul"],
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
    )
    reference = load_model(open_source(onnx_artifact))
    candidate = replace(reference, predictor=OnnxPredictor(open_session(path), reference.task.kind.output))
    difference = batch_difference(candidate)
    assert difference > 1e-3
    manifest = Artifact.open(onnx_artifact).manifest
    assert manifest.made_by.stage == "export"
    facts = Int8Facts(
        data=None,
        scheme="dynamic",
        quantized={},
        kept_in_float=(),
        instruction_sets=(),
        reduce_range=False,
        batch_difference=difference,
    )
    assert not facts.is_batch_invariant
    # Of an artifact that an older release made: its scheme tells.
    assert not replace(facts, batch_difference=None).is_batch_invariant
    assert replace(facts, scheme="static", batch_difference=None).is_batch_invariant

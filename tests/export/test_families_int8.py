"""INT8 of encoders whose attention is no plain BERT's: every matrix that has a kernel, and answers near fp32's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from replank.data.config import DataConfig
from replank.models.int8_facts import Int8Facts
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank_export.convert import ExportConfig, export
from replank_export.int8 import DynamicInt8, Int8Config, StaticInt8
from replank_export.quantize import quantize
from small_models import save_model

TEXTS = ["good film", "a very dull plot with music and a cold actor", "it"]
SCHEMES = [
    DynamicInt8(max_drop=1.0, allow_slower=True),
    StaticInt8(max_drop=1.0, allow_slower=True, calibration_rows=16),
]


@pytest.mark.parametrize("config", SCHEMES, ids=lambda config: config.name)
@pytest.mark.parametrize("model_type", ["mpnet", "deberta-v2", "modernbert", "eurobert"])
def test_each_family_in_each_scheme(model_type: str, config: Int8Config, data: DataConfig, tmp_path: Path) -> None:
    folder = save_model(model_type, tmp_path / "torch", id2label={0: "negative", 1: "positive"})
    onnx = export(open_source(folder), tmp_path / "onnx", ExportConfig())
    artifact = quantize(open_source(onnx.path), tmp_path / "int8", config, data)
    # DeBERTa's positions have a matrix for each head.
    kept = artifact.manifest.made_by.facts_of(Int8Facts).kept_in_float
    assert all(len(entry.shape) > 2 for entry in kept)
    assert bool(kept) == (model_type == "deberta-v2")
    fp32, int8 = (load_model(open_source(path)).logits(TEXTS) for path in (onnx.path, artifact.path))
    assert np.abs(fp32 - int8).max() <= 0.1 * max(1.0, np.abs(fp32).max())

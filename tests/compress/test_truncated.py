"""Models cut down to their first layers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.runtime.predictors import TorchPredictor
from replank_compress.layers import layer_stack, set_layer_stack
from replank_compress.truncated import truncated


@pytest.mark.parametrize("layers", [1, 3, 4])
def test_the_first_layers_are_kept_with_everything_around_them(predecessor: Path, tmp_path: Path, layers: int) -> None:
    source = open_source(predecessor)
    made = truncated(source, layers, tmp_path / "cut")
    assert (made.layers, made.kind, made.artifact) == (layers, "torch", None)
    found = load_model(made, threads=1).logits(["a lovely film", "dull"])
    whole = load_model(source, threads=1)
    assert isinstance(whole.predictor, TorchPredictor)
    with torch.no_grad():
        set_layer_stack(whole.predictor.module, list(layer_stack(whole.predictor.module))[:layers])
    np.testing.assert_allclose(found, whole.logits(["a lovely film", "dull"]), atol=1e-6)

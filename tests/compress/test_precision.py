"""The precision of training: what the hardware and the encoder can compute in."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from replank.data.config import DataConfig
from replank.models.encoders import ENCODERS
from replank.models.source import open_source
from replank.system.errors import FieldError, UsageError
from replank_compress.finetune import finetune
from replank_compress.training.config import FinetuneConfig
from small_models import make_model, save_model
from tiny import tiny_settings


def test_half_precision_needs_its_hardware(encoder: Path, data: DataConfig, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    with pytest.raises(UsageError, match="`precision` is fp16; expected bf16, fp32 or auto"):
        finetune(open_source(encoder), tmp_path / "out", FinetuneConfig(precision="fp16"), data)


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("model_type", list(ENCODERS))
def test_encoders_compute_in_halves_as_they_say(model_type: str, precision: torch.dtype) -> None:
    model = make_model(model_type, **({"hidden_dim": 64} if model_type == "distilbert" else {})).train()
    ids = torch.randint(5, tiny_settings()["vocab_size"], (4, 12), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[:2, 9:] = 0
    expected = nullcontext() if ENCODERS[model_type].autocasts else pytest.raises(RuntimeError, match="overflow")
    with expected, torch.autocast("cpu", precision):
        loss = model(input_ids=ids * mask, attention_mask=mask, labels=torch.tensor([0, 1, 0, 1])).loss
        loss.backward()
        assert torch.isfinite(loss)


def test_an_encoder_that_cannot_is_trained_in_whole_precision(data: DataConfig, tmp_path: Path) -> None:
    source = open_source(save_model("deberta", tmp_path / "deberta"))
    finetune(source, tmp_path / "out", FinetuneConfig(epochs=1 / 3), data)
    with pytest.raises(FieldError, match=r"`precision` is bf16; expected fp32 or auto, because .* deberta in less"):
        finetune(source, tmp_path / "halves", FinetuneConfig(precision="bf16"), data)

"""Files of recent encoders as people have them: of older form, made for GPUs, with code, or of two models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plain_folders import configure
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.system.errors import ModelError
from small_models import save_model

TEXTS = ["a good film", "the very dull plot of a film with music"]


@pytest.fixture
def modernbert(tmp_path: Path) -> Path:
    """A classifier of four layers."""
    return save_model("modernbert", tmp_path / "model", num_hidden_layers=4)


def test_older_files_name_a_rule_instead_of_kinds_of_layers(modernbert: Path) -> None:
    expected = load_model(open_source(modernbert)).logits(TEXTS)
    configure(modernbert, "layer_types", global_attn_every_n_layers=3)
    np.testing.assert_array_equal(load_model(open_source(modernbert)).logits(TEXTS), expected)
    configure(modernbert, "layer_types", global_attn_every_n_layers=1)
    assert not np.allclose(load_model(open_source(modernbert)).logits(TEXTS), expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layer_types": ["full_attention"] * 3}, "lists layer_types of 3 layers and says num_hidden_layers 4"),
        ({"attn_implementation": "flash_attention_2"}, "says attn_implementation 'flash_attention_2', which needs a"),
    ],
)
def test_settings_that_cannot_be_followed(modernbert: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message) as refusal:
        open_source(configure(modernbert, **changes))
    assert refusal.value.hint


def test_code_that_comes_with_a_model_never_runs(modernbert: Path, tmp_path: Path) -> None:
    (modernbert / "theirs.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n", encoding="utf-8")
    configure(modernbert, auto_map={"AutoModelForSequenceClassification": "theirs.Model", "AutoConfig": "theirs.C"})
    assert load_model(open_source(modernbert)).logits(TEXTS).shape == (2, 2)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"intermediate_size": 48}, r"have another shape than config\.json describes in"),
        ({"num_hidden_layers": 5, "layer_types": None}, r"lack model\.layers\.4\."),
        ({"num_hidden_layers": 3, "layer_types": None}, r"hold, beyond what config\.json describes"),
        ({"vocab_size": 70}, "says vocab_size 70, the weights have"),
    ],
)
def test_weights_of_another_model(modernbert: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load_model(open_source(configure(modernbert, **changes)))

"""Module replacing where layers differ in their kind of attention: each has the masks and angles of its own."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModelForSequenceClassification

from replank.models.encoders import encoder_of
from replank_compress.layers import kind_of, layer_stack
from replank_compress.methods.module_replacing import ModuleReplacement
from replank_compress.successor import initial_layers
from small_models import make_model

# Longer than the window, with padding on either side and a hole.
MASK = torch.tensor([[1] * 12, [0] * 3 + [1] * 9, [1] * 4 + [0] + [1] * 5 + [0] * 2])
INPUTS = {"input_ids": torch.arange(5, 41).reshape(3, 12) * MASK, "attention_mask": MASK}
SIZES = [(2, 2, 2), (1, 2, 3), (3, 1, 2), (5, 1)]


def model_of_kinds() -> Any:
    """Layers of full, sliding, sliding, full, sliding and sliding attention."""
    return make_model("modernbert", num_hidden_layers=6)


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        result: torch.Tensor = model(**INPUTS).logits
    return result


def test_a_layers_kind_counts_on_these_texts() -> None:
    model = model_of_kinds()
    other = make_model("modernbert", num_hidden_layers=6, layer_types=["full_attention"] * 6)
    other.load_state_dict(model.state_dict())
    assert not torch.allclose(logits(model), logits(other), atol=1e-3)


@pytest.mark.parametrize("start", ["first", "spread"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_every_pattern_of_gates_equals_a_stack_assembled_by_hand(sizes: tuple[int, ...], start: str) -> None:
    model = model_of_kinds()
    mine = copy.deepcopy(model)
    replacement = ModuleReplacement(mine, initial_layers(mine, sizes, start), sizes)
    for parameter in (parameter for module in replacement.modules for parameter in module.successor.parameters()):
        parameter.data += 0.1 * torch.randn_like(parameter)
    for gates in itertools.product([False, True], repeat=len(sizes)):
        parts = [
            [module.successor] if gate else list(module.predecessor)
            for module, gate in zip(replacement.modules, gates, strict=True)
        ]
        by_hand = copy.deepcopy(model)
        by_hand.model.layers = nn.ModuleList(copy.deepcopy(layer) for part in parts for layer in part)
        replacement.replace(gates)
        assert torch.equal(logits(replacement.model.train()), logits(by_hand))
        if not any(gates):
            assert torch.equal(logits(by_hand), logits(model))


@pytest.mark.parametrize("start", ["first", "spread"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_the_successor_is_the_same_to_a_stranger(sizes: tuple[int, ...], start: str, tmp_path: Path) -> None:
    model = model_of_kinds()
    replacement = ModuleReplacement(model, initial_layers(model, sizes, start), sizes)
    kinds = [kind_of(module.successor) for module in replacement.modules]
    replacement.extract().save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert loaded.config.layer_types == kinds
    assert [kind_of(layer) for layer in layer_stack(loaded)] == kinds
    assert torch.equal(logits(loaded.eval()), logits(replacement.model.eval()))


def test_a_rule_of_older_files_does_not_outlive_its_layers() -> None:
    model = make_model("modernbert", num_hidden_layers=4, global_attn_every_n_layers=2)
    assert model.config.layer_types == ["full_attention", "sliding_attention"] * 2
    sizes = (1, 1, 2)
    successor = ModuleReplacement(model, initial_layers(model, sizes, "spread"), sizes).extract()
    config = successor.config.to_dict()
    assert config["layer_types"] == ["full_attention", "sliding_attention", "full_attention"]
    assert "global_attn_every_n_layers" not in config
    assert encoder_of(config, "successor").layers(config) == 3

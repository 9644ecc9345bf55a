"""The fitted start: least squares on what groups of layers compute."""

from __future__ import annotations

import copy
import logging
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from replank.data.config import DataConfig
from replank.models.encoders import ENCODERS
from replank.models.source import open_source
from replank.models.training_facts import TrainingFacts
from replank.system.errors import FieldError, TrainingError
from replank_compress.fitting import fitted_layers
from replank_compress.layers import assemble, layer_stack
from replank_compress.methods.kd import KdConfig
from replank_compress.methods.theseus import TheseusConfig
from replank_compress.methods.truncate import TruncateConfig
from replank_compress.successor import compress, initial_layers
from small_models import make_model
from tiny import save_table, sentences, tiny_settings

SHORT: dict[str, Any] = {"epochs": 1 / 3, "batch_size": 32, "learning_rate": 1e-30, "precision": "fp32", "layers": 2}


def batches(count: int = 8, seed: int = 0) -> list[dict[str, torch.Tensor]]:
    """Random token ids, the last of each row padding."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(count):
        ids = torch.randint(5, tiny_settings()["vocab_size"], (16, 12), generator=generator)
        mask = torch.ones_like(ids)
        mask[::2, 9:] = 0
        found.append({"input_ids": ids * mask, "attention_mask": mask})
    return found


def distance(model: Any, layers: list[nn.Module], inputs: list[dict[str, torch.Tensor]]) -> float:
    """How far the last layer's output of a model of these layers is from the whole model's, on tokens that are real."""
    other = assemble(model, layers)
    total = spread = 0.0
    with torch.no_grad():
        for batch in inputs:
            real = batch["attention_mask"].bool()
            ours, theirs = (last_output(each, batch)[real] for each in (other, model))
            total += float((ours - theirs).square().sum())
            spread += float((theirs - theirs.mean(0)).square().sum())
    return total / spread


def last_output(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """What the last layer gives, before a norm that some models have after it."""
    seen: list[Any] = []
    handle = list(layer_stack(model))[-1].register_forward_hook(lambda _, __, output: seen.append(output))
    model(**batch)
    handle.remove()
    found: torch.Tensor = seen[0][0] if isinstance(seen[0], tuple) else seen[0]
    return found


@pytest.mark.parametrize("model_type", list(ENCODERS))
def test_every_architecture_starts_nearer_to_its_predecessor(model_type: str) -> None:
    """On texts that it was not fitted on too."""
    model = make_model(model_type, **({"hidden_dim": 64} if model_type == "distilbert" else {}))
    before = copy.deepcopy(model.state_dict())
    fitted = fitted_layers(model, (2, 2), batches())
    others = batches(seed=1)
    spread = distance(model, initial_layers(model, (2, 2), "spread"), others)
    assert distance(model, fitted.layers, others) < 0.9 * spread
    assert fitted.unexplained is not None
    assert len(fitted.unexplained) == 2
    assert fitted.unexplained[-1] == pytest.approx(distance(model, fitted.layers, batches()), rel=0.1)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("model_type", [name for name, encoder in ENCODERS.items() if encoder.autocasts])
def test_training_precision_changes_little(model_type: str) -> None:
    """Layers compute in it; their weights stay as they are, and so does what is summed."""
    model = make_model(model_type, **({"hidden_dim": 64} if model_type == "distilbert" else {}))
    fitted = fitted_layers(model, (2, 2), batches(), partial(torch.autocast, "cpu", torch.bfloat16))
    assert all(weight.dtype == torch.float32 for layer in fitted.layers for weight in layer.parameters())
    exact, others = fitted_layers(model, (2, 2), batches()), batches(seed=1)
    assert distance(model, fitted.layers, others) == pytest.approx(distance(model, exact.layers, others), rel=0.1)


def test_a_group_of_one_layer_is_that_layer() -> None:
    model = make_model()
    fitted = fitted_layers(model, (1, 3), batches())
    assert fitted.unexplained is not None
    assert fitted.unexplained[0] == pytest.approx(0, abs=1e-8)
    ours, theirs = fitted.layers[0].state_dict(), layer_stack(model)[0].state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_too_few_texts_are_refused() -> None:
    model = make_model()
    tokens = int(batches(1)[0]["attention_mask"].sum())
    layers: Any = layer_stack(model)
    inner = layers[0].output.dense.in_features
    few = [{name: values[:1] for name, values in batches(1)[0].items()}]
    assert tokens > inner
    with pytest.raises(FieldError, match=f"more than {inner} tokens of text.*the training split has 9"):
        fitted_layers(model, (2, 2), few)


def test_hidden_states_that_are_not_finite_are_refused() -> None:
    model = make_model()
    layers: Any = layer_stack(model)
    layers[1].output.dense.weight.data[0, 0] = torch.nan
    with pytest.raises(TrainingError, match="the fit has no solution"):
        fitted_layers(model, (2, 2), batches())


def test_groups_of_different_layers_are_refused() -> None:
    model = make_model()
    layers: Any = layer_stack(model)
    layers[3].intermediate.dense = nn.Linear(32, 48)
    with pytest.raises(FieldError, match="groups of layers of one kind; those of group 2 differ"):
        fitted_layers(model, (2, 2), batches())


@pytest.mark.parametrize("method", [TheseusConfig, KdConfig, TruncateConfig])
def test_every_method_can_start_so(predecessor: Path, data: DataConfig, tmp_path: Path, method: Any) -> None:
    """One step with a vanishing learning rate: the manifest tells how near it is."""
    found = {}
    for init_layers in ("spread", "fitted"):
        config = method(**SHORT, init_layers=init_layers)
        found[init_layers] = compress(open_source(predecessor), tmp_path / init_layers, config, data)
    facts = found["fitted"].manifest.made_by.facts_of(TrainingFacts)
    assert facts.unexplained is not None
    assert all(0 <= part < 1 for part in facts.unexplained)
    assert found["spread"].manifest.made_by.facts_of(TrainingFacts).unexplained is None


def test_without_texts_enough_the_default_starts_unfitted_and_says_so(
    predecessor: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for seed, split in enumerate(("train", "dev")):
        save_table(tmp_path, f"{split}.tsv", ("sentence", "label"), sentences(4, seed))
    data = DataConfig(data=tmp_path, text="sentence", max_length=32)
    settings = SHORT | {"epochs": 1, "batch_size": 4}
    with pytest.raises(FieldError, match="`init_layers` is fitted; expected more than 64 tokens of text"):
        compress(open_source(predecessor), tmp_path / "out", TheseusConfig(**settings, init_layers="fitted"), data)
    assert not (tmp_path / "out").exists()
    with caplog.at_level(logging.WARNING):
        made = compress(open_source(predecessor), tmp_path / "out", TheseusConfig(**settings), data)
    assert "the start is not fitted: that takes more than 64 tokens of text" in caplog.text
    assert made.manifest.made_by.facts_of(TrainingFacts).unexplained is None


def test_layers_of_another_model_are_not_fitted(encoder: Path) -> None:
    with pytest.raises(FieldError, match="`init_layers` is fitted; expected first or spread with `init_from`"):
        TheseusConfig(init_layers="fitted", init_from=encoder)

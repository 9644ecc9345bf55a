"""Module replacing, bit for bit: what runs, what learns, what comes out."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import numpy as np
import pytest
import torch
from conftest import tiny_settings
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification

from compress.theseus import Theseus, layer_stack
from replank.encoders import ENCODERS
from replank.errors import UsageError

IDS = torch.tensor([[2, 7, 9, 11, 3], [2, 8, 3, 0, 0]])
INPUTS = {"input_ids": IDS, "attention_mask": (IDS > 0).long()}


def make_model(model_type: str = "bert", **changes: Any) -> Any:
    """A random predecessor whose layers differ enough to be told apart; without dropout."""
    torch.manual_seed(0)
    settings = tiny_settings() | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0} | changes
    if model_type == "distilbert":
        renamed = {
            "dim": 32,
            "n_layers": 4,
            "n_heads": 4,
            "hidden_dim": 64,
            "dropout": 0.0,
            "attention_dropout": 0.0,
            "seq_classif_dropout": 0.0,
        }
        settings = {key: settings[key] for key in ("vocab_size", "max_position_embeddings", "pad_token_id")} | renamed
    config = AutoConfig.for_model(model_type, **settings)
    model = AutoModelForSequenceClassification.from_config(config)  # type: ignore[no-untyped-call]
    for parameter in model.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return model.eval()


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        result: torch.Tensor = model(**INPUTS).logits
    return result


def set_gates(theseus: Theseus, gates: tuple[bool, ...]) -> None:
    for module, gate in zip(theseus.modules, gates, strict=True):
        module.replaced = gate


@pytest.mark.parametrize("gates", list(itertools.product([False, True], repeat=2)))
def test_every_pattern_of_gates_equals_a_stack_assembled_by_hand(gates: tuple[bool, ...]) -> None:
    model = make_model()
    theseus = Theseus(copy.deepcopy(model), layers=2)
    for module in theseus.modules:
        for parameter in module.successor.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
    by_hand = copy.deepcopy(model)
    parts = [
        [module.successor] if gate else list(module.predecessor)
        for module, gate in zip(theseus.modules, gates, strict=True)
    ]
    by_hand.bert.encoder.layer = nn.ModuleList(copy.deepcopy(layer) for part in parts for layer in part)
    set_gates(theseus, gates)
    assert torch.equal(logits(theseus.model.train()), logits(by_hand.train()))


@pytest.mark.parametrize("model_type", list(ENCODERS))
def test_unreplaced_is_the_predecessor_and_extracted_is_the_successor(model_type: str) -> None:
    model = make_model(model_type)
    theseus = Theseus(copy.deepcopy(model), layers=2)
    set_gates(theseus, (False, False))
    assert torch.equal(logits(theseus.model.train()), logits(model))
    successor = theseus.extract()
    assert successor.config.num_hidden_layers == len(layer_stack(successor)) == 2
    assert torch.equal(logits(theseus.model.eval()), logits(successor))
    assert not torch.equal(logits(successor), logits(model))


def test_evaluation_ignores_the_gates() -> None:
    theseus = Theseus(make_model(), layers=2)
    set_gates(theseus, (True, True))
    expected = logits(theseus.model.eval())
    set_gates(theseus, (False, False))
    assert torch.equal(logits(theseus.model.eval()), expected)


def test_only_drawn_successors_learn_and_gradients_pass_through_frozen_layers() -> None:
    theseus = Theseus(make_model(), layers=2)
    set_gates(theseus, (True, False))
    theseus.model.train()(**INPUTS, labels=torch.tensor([0, 1])).loss.backward()
    first, second = theseus.modules
    assert all(parameter.grad is not None for parameter in first.successor.parameters())
    assert sum(float(p.grad.abs().sum()) for p in first.successor.parameters() if p.grad is not None) > 0
    learnt = {id(parameter) for parameter in first.successor.parameters()}
    others = [p for p in theseus.model.parameters() if id(p) not in learnt]
    assert all(parameter.grad is None for parameter in others)
    assert all(parameter.requires_grad for parameter in second.successor.parameters())


def test_what_is_shared_learns_only_when_told() -> None:
    theseus = Theseus(make_model(), layers=2)
    assert not theseus.model.classifier.weight.requires_grad
    theseus.train_shared(True)
    assert theseus.model.classifier.weight.requires_grad
    assert theseus.model.bert.embeddings.word_embeddings.weight.requires_grad
    assert not any(p.requires_grad for module in theseus.modules for p in module.predecessor.parameters())


def test_draws_are_independent_coins_of_the_rate() -> None:
    theseus = Theseus(make_model(), layers=2)
    generator = np.random.default_rng(0)
    draws = np.array([(theseus.draw(0.3, generator), *(m.replaced for m in theseus.modules)) for _ in range(10_000)])
    assert (draws[:, 0] == draws[:, 1:].sum(axis=1)).all()
    sigma = (0.3 * 0.7 / 10_000) ** 0.5
    assert draws[:, 1:].mean(axis=0) == pytest.approx([0.3, 0.3], abs=3 * sigma)
    assert abs(np.corrcoef(draws[:, 1], draws[:, 2])[0, 1]) < 0.03


@pytest.mark.parametrize("layers", [3, 4, 5, 0])
def test_layers_that_do_not_divide_are_refused(layers: int) -> None:
    with pytest.raises(UsageError, match="does not divide the predecessor's 4 layers") as refusal:
        Theseus(make_model(), layers=layers)
    assert refusal.value.hint == "choose one of 2, 1"

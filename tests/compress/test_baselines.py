"""The baselines: their losses by hand, and that they train."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from replank.data.config import DataConfig
from replank.models.source import open_source
from replank.models.training_facts import TrainingFacts
from replank.system.errors import UsageError
from replank.tasks.kinds import KINDS
from replank_compress.layers import layer_stack
from replank_compress.methods.config import Start, SuccessorConfig
from replank_compress.methods.kd import Distillation, KdConfig
from replank_compress.methods.pkd import PkdConfig
from replank_compress.methods.truncate import TruncateConfig
from replank_compress.successor import compress, initial_layers
from small_models import INPUTS, make_model
from tiny import curve_of

LABELS = torch.tensor([0, 1])
BATCH = INPUTS | {"labels": LABELS}
SHORT: dict[str, Any] = {"epochs": 2.0, "learning_rate": 1e-3, "precision": "fp32", "layers": 2}


soft_loss = KINDS["classification"].distillation_loss


def build(config: SuccessorConfig, model: Any) -> Any:
    layers = initial_layers(model, (2, 2), "first")
    return config.method(Start(KINDS["classification"], model, model, layers, (2, 2), asks_each_step=True))


def test_the_soft_loss_is_a_scaled_divergence() -> None:
    ours, theirs = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    p, q = (torch.softmax(logits / 2, dim=-1) for logits in (theirs, ours))
    expected = 4 * (p * (p / q).log()).sum(-1)
    assert soft_loss(ours, theirs, 2.0).tolist() == pytest.approx(expected.tolist())
    assert soft_loss(theirs, theirs, 2.0).tolist() == pytest.approx([0.0, 0.0])


def test_numbers_are_distilled_by_their_squared_difference() -> None:
    loss = KINDS["regression"].distillation_loss
    assert loss(torch.tensor([[1.0], [2.0]]), torch.tensor([[0.0], [4.0]]), 5.0).tolist() == [1, 4]


def test_the_loss_of_kd_by_hand() -> None:
    model = make_model()
    method = build(KdConfig(temperature=3.0, soft_weight=0.25), copy.deepcopy(model))
    method.model.train()
    student = method.model(**INPUTS).logits.detach()
    soft = soft_loss(student, model(**INPUTS).logits.detach(), 3.0).mean()
    expected = 0.25 * soft + 0.75 * functional.cross_entropy(student, LABELS)
    assert float(method.loss(method.model, BATCH).detach()) == pytest.approx(float(expected), rel=1e-6)
    assert method.layers_run(0, 1) == 2 + 4


@pytest.mark.parametrize(("choice", "taught"), [("skip", [2]), ("last", [3])])
def test_the_loss_of_pkd_by_hand(choice: Any, taught: list[int]) -> None:
    """Of four layers into two: the first is taught by what is below it, or by the last hidden state but one."""
    model = make_model()
    config = PkdConfig(patient_weight=7.0, patient_layers=choice)
    method = build(config, copy.deepcopy(model))
    kd = build(KdConfig(), copy.deepcopy(model))
    ours = method.model.train()(**INPUTS, output_hidden_states=True).hidden_states[1][:, 0]
    theirs = model(**INPUTS, output_hidden_states=True).hidden_states[taught[0]][:, 0]
    distance = (ours / ours.norm(dim=1, keepdim=True) - theirs / theirs.norm(dim=1, keepdim=True)).pow(2).mean()
    expected = kd.loss(kd.model, BATCH).detach() + 7 * distance.detach()
    assert float(method.loss(method.model, BATCH).detach()) == pytest.approx(float(expected), rel=1e-5)


def test_the_predecessor_teaches_without_dropout_and_does_not_learn() -> None:
    model = make_model(hidden_dropout_prob=0.5)
    method = build(KdConfig(soft_weight=1.0), model)
    assert isinstance(method, Distillation)
    before = copy.deepcopy(model.state_dict())
    method.loss(method.model.train(), BATCH).backward()  # type: ignore[no-untyped-call]
    assert not model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is not None for parameter in layer_stack(method.model).parameters())


def test_a_truncated_model_begins_as_its_origins_first_layers() -> None:
    model = make_model()
    method = build(TruncateConfig(), model)
    assert len(layer_stack(method.model)) == 2
    for ours, theirs in zip(layer_stack(method.model), layer_stack(model), strict=False):
        assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))
    assert torch.equal(method.model.classifier.weight, model.classifier.weight)
    assert method.layers_run(0, 1) == 2


@pytest.mark.parametrize("config", [TruncateConfig(**SHORT), KdConfig(**SHORT), PkdConfig(**SHORT)])
def test_each_baseline_trains(predecessor: Path, data: DataConfig, tmp_path: Path, config: SuccessorConfig) -> None:
    artifact = compress(open_source(predecessor), tmp_path / "out", config, data)
    made_by = artifact.manifest.made_by
    assert open_source(artifact.path).layers == 2
    losses = [entry["loss"] for entry in curve_of(artifact.path) if "loss" in entry]
    assert losses[-1] < losses[0]
    # KD asks the predecessor once, about its 6 batches and their copies; PKD needs hidden states at each step too.
    asked = 2 * 6 * 4
    steps = {"truncate": 12 * 2, "kd": 12 * 2 + asked, "pkd": 12 * (2 + 4) + asked}
    assert made_by.facts_of(TrainingFacts).layer_steps == steps[config.name]
    assert not [entry for entry in curve_of(artifact.path) if "replacing_rate" in entry]


def test_truncation_of_the_pretrained_encoder_has_a_new_head(
    encoder: Path, predecessor: Path, data: DataConfig, tmp_path: Path
) -> None:
    config = replace(TruncateConfig(**SHORT), init_from=str(encoder))
    pretrained = compress(open_source(predecessor), tmp_path / "pretrained", config, data)
    fine_tuned = compress(open_source(predecessor), tmp_path / "fine-tuned", replace(config, init_from=None), data)
    first_losses = [curve_of(artifact.path)[0]["loss"] for artifact in (pretrained, fine_tuned)]
    assert first_losses[0] > first_losses[1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: KdConfig(temperature=0.0), "`temperature` is 0.0; expected more than 0"),
        (lambda: KdConfig(soft_weight=1.5), "`soft_weight` is 1.5; expected 0 to 1"),
        (lambda: PkdConfig(patient_weight=-1.0), "`patient_weight` is -1.0; expected 0 or more"),
        (lambda: PkdConfig().method(Start(KINDS["classification"], None, None, [], (4,))), "two layers or more"),
    ],
)
def test_settings_that_cannot_work_are_refused(make: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()

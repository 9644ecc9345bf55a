"""Module regression: what a drawn layer lacks to its group, for the same input."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from replank.system.errors import FieldError
from replank.tasks.kinds import KINDS
from replank_compress.layers import layer_stack
from replank_compress.methods.module_replacing import ModuleReplacement
from replank_compress.methods.schedule import ConstantSchedule, LinearSchedule
from replank_compress.methods.soft_labels import SoftLabels
from replank_compress.methods.theseus import Replacing, TheseusConfig
from small_models import INPUTS, make_model, make_replacement

BATCH: dict[str, Any] = {**INPUTS, "labels": torch.tensor([0, 1])}


def run(replacement: ModuleReplacement, inputs: dict[str, torch.Tensor], *gates: bool) -> float:
    replacement.model.train()
    replacement.replace(gates, compares=True)
    replacement.model(**inputs)
    return replacement.discrepancy(inputs["attention_mask"]).item()


def test_it_is_the_part_of_the_variance_that_a_drawn_layer_does_not_give() -> None:
    replacement = make_replacement(make_model())
    seen: list[torch.Tensor] = []
    handle = replacement.modules[1].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    found = run(replacement, INPUTS, False, True)
    handle.remove()
    module, parts = replacement.modules[1], []
    for row, real in zip(seen[0], INPUTS["attention_mask"].bool(), strict=True):
        # A text alone and without padding.
        hidden = row[real].unsqueeze(0)
        ours, theirs = module.successor(hidden), hidden
        for layer in module.predecessor:
            theirs = layer(theirs)
        ours, theirs = (states[0] for states in (ours, theirs))
        parts.append(((ours - theirs).square().sum() / (theirs - theirs.mean(0)).square().sum()).item())
    assert found == pytest.approx(sum(parts) / len(parts) / 2, rel=1e-4)


def test_a_layer_that_is_its_group_lacks_nothing() -> None:
    replacement = make_replacement(make_model(num_hidden_layers=2), 1, 1)
    assert run(replacement, INPUTS, True, False) == 0
    assert replacement.modules[0].outputs is None


def test_the_target_has_no_dropout_and_no_gradient() -> None:
    model = make_model()
    for module in layer_stack(model).modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.5
    replacement = make_replacement(model)
    replacement.model.train()
    replacement.replace([True, False], compares=True)
    outputs: list[Any] = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        model(**INPUTS)
        outputs.append(replacement.modules[0].outputs)
    (ours, theirs), (ours_again, theirs_again) = outputs
    assert not torch.equal(ours, ours_again)
    assert torch.equal(theirs, theirs_again)
    assert (ours.requires_grad, theirs.requires_grad) == (True, False)
    # One that is not drawn has dropout, as in the paper's code.
    assert replacement.modules[0].predecessor.training


def method(weight: float, schedule: Any) -> Replacing:
    config = TheseusConfig(module_weight=weight, schedule=schedule, soft_weight=0)
    return Replacing(make_replacement(make_model()), config, SoftLabels(KINDS["classification"], config))


def loss_at(method: Replacing, step: int) -> float:
    method.model.train()
    assert method.before_step(step, 100)
    return method.loss(method.model, BATCH).item()


def test_its_weight_is_that_of_the_loss_in_the_first_phase() -> None:
    always = ConstantSchedule(1 - 1e-12, 0.5)
    none, one, three = (loss_at(method(weight, always), 0) for weight in (0, 1, 3))
    assert one > none
    assert three - none == pytest.approx(3 * (one - none), rel=1e-4)
    assert loss_at(method(3, always), 50) == loss_at(method(0, always), 50)


def test_what_it_runs_is_counted() -> None:
    schedule = LinearSchedule(0.3, 0.5)
    without, with_it = method(0, schedule), method(1, schedule)
    for step in range(100):
        drawn = int(with_it.gates(step, 100).sum())
        more = 2 * drawn if step < 50 else 0
        assert with_it.layers_run(step, 100) == without.layers_run(step, 100) + more


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(FieldError, match="`module_weight` is -1; expected 0 or more"):
        TheseusConfig(module_weight=-1)

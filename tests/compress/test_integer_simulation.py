"""The encoder in integers on torch tensors: the definition's integers, with gradients near the real encoder's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from integer_encoders import FAMILIES, integer_encoder, random_inputs
from replank.integer.families import family_of
from replank.integer.integers import Integers
from replank.models.source import open_source
from replank.runtime.torch_model import load_torch_model
from replank_compress.integer import simulation as simulations
from replank_compress.integer.kernels import normalized, softmax
from replank_compress.integer.simulation import Simulation
from replank_compress.integer.steps import Steps
from small_models import make_model


def tensors(*arrays: Integers) -> list[torch.Tensor]:
    return [torch.from_numpy(array) for array in arrays]


def simulated(model: Any, ids: Integers, mask: Integers) -> Simulation:
    """A simulation whose ranges have seen one batch."""
    simulation = Simulation(model.base_model, "model")
    model.train()
    with torch.no_grad():
        simulation(*tensors(ids, mask))
    model.eval()
    return simulation


def differing(model: Any, simulation: Simulation, ids: Integers, mask: Integers, types: Integers | None = None) -> int:
    """Elements of the last hidden state that are not the definition's."""
    encoder = integer_encoder(model, simulation.ranges.frozen())
    defined = encoder(ids, mask, types)
    with torch.no_grad():
        hidden = simulation.integers(
            torch.from_numpy(ids), torch.from_numpy(mask), None if types is None else torch.from_numpy(types)
        )
    assert np.array_equal(hidden.scale, encoder.scale)
    assert defined.any()
    return int((hidden.values.numpy() != defined).sum())


@pytest.mark.parametrize("family", FAMILIES)
def test_random_models_give_the_definitions_integers(family: str) -> None:
    model = make_model(family, **FAMILIES[family])
    simulation = simulated(model, *random_inputs(model, 6, 20))
    for seed, length in enumerate((1, 7, 60)):
        ids, mask = random_inputs(model, 4, length, seed)
        mask[3] = 0  # a row of padding alone
        assert differing(model, simulation, ids, mask) == 0


def test_token_types_are_looked_up() -> None:
    model = make_model()
    ids, mask = random_inputs(model, 4, 20)
    assert differing(model, simulated(model, ids, mask), ids, mask, types=ids % 2) == 0


def test_trained_models_give_the_definitions_integers(predecessor: Any) -> None:
    model = load_torch_model(open_source(predecessor))
    ids, mask = random_inputs(model, 16, 30)
    assert differing(model, simulated(model, ids, mask), ids, mask) == 0


def test_weights_of_any_size_give_the_definitions_integers() -> None:
    """Gammas that are zero, channels that are, and sums that float32 cannot hold."""
    model = make_model(intermediate_size=2048)
    with torch.no_grad():
        for number, (name, weight) in enumerate(model.bert.named_parameters()):
            weight *= (1e-9, 1.0, 1e6)[number % 3]
            if name.endswith("LayerNorm.weight"):
                weight[::3] = 0.0
            weight[..., 1] = 0.0
        model.bert.encoder.layer[0].output.dense.weight.copy_(torch.ones(32, 2048))
    ids, mask = random_inputs(model, 4, 12)
    assert differing(model, simulated(model, ids, mask), ids, mask) == 0


def test_autocast_changes_no_integer() -> None:
    model = make_model()
    ids, mask = random_inputs(model, 4, 20)
    simulation = simulated(model, ids, mask)
    with torch.autocast("cpu", torch.bfloat16):
        assert differing(model, simulation, ids, mask) == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_scales_are_right_wherever_integers_are_used(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What each linear layer reads is whole, and times its scale it is what the real layer reads."""
    model = make_model(family, **FAMILIES[family])
    ids, mask = random_inputs(model, 6, 20)
    simulation = simulated(model, ids, mask)
    base, read, linear = model.base_model, {}, simulations._Pass._linear

    def keep(self: Any, hidden: Steps, module: str) -> Steps:
        read[module] = hidden
        return linear(self, hidden, module)

    monkeypatch.setattr(simulations._Pass, "_linear", keep)
    with torch.no_grad():
        simulation(*tensors(ids, mask))
    real: dict[str, torch.Tensor] = {}
    for module in read:
        base.get_submodule(module).register_forward_pre_hook(
            lambda _, inputs, module=module: real.update({module: inputs[0]})
        )
    with torch.no_grad():
        base(*tensors(ids, mask))
    layers = family_of(model.config.to_dict(), "model").stack
    assert len([module for module in read if module.startswith(layers)]) == 6 * 4
    for module, steps in read.items():
        assert torch.equal(steps.values, steps.values.round())
        assert steps.values.abs().max() <= 127
        kept = torch.from_numpy(mask) != 0
        error = (steps.values * torch.from_numpy(steps.scale) - real[module])[kept]
        assert error.square().mean() < real[module][kept].square().mean() / 100, module


def test_gradients_are_near_those_of_the_real_encoder() -> None:
    model = make_model()
    ids, mask = random_inputs(model, 6, 20)
    simulation = simulated(model, ids, mask)

    def gradients(encoder: Any) -> dict[str, torch.Tensor]:
        model.zero_grad()
        encoder(*tensors(ids, mask))[0].square().mean().backward()
        return {name: weight.grad.clone() for name, weight in model.bert.encoder.named_parameters()}

    ours, theirs = gradients(simulation), gradients(model.base_model)
    # A key's bias has none: it moves all scores of a query alike.
    for name in (name for name in theirs if not name.endswith("key.bias")):
        assert torch.cosine_similarity(ours[name].flatten(), theirs[name].flatten(), dim=0) > 0.95, name


def test_ranges_follow_batches_in_training_and_no_padding() -> None:
    model = make_model()
    first, second = random_inputs(model, 4, 12), random_inputs(model, 4, 12, seed=1)
    alone = [simulated(model, *inputs).ranges.frozen()["layers.0.query"] for inputs in (first, second)]
    simulation = simulated(model, *first)
    padded = simulated(model, *(np.pad(array, ((0, 0), (0, 4))) for array in first))
    name = "layers.0.query"
    assert simulation.ranges.frozen()[name] == padded.ranges.frozen()[name] == alone[0]
    with torch.no_grad():
        simulation(*tensors(*second))
        assert simulation.ranges.frozen()[name] == alone[0]  # in evaluation mode they stay
        model.train()
        simulation(*tensors(*second))
    moved = simulation.ranges.frozen()[name]
    assert min(alone) < moved < max(alone)
    # The queries' own scale depends on that of the embeddings, which moved too.
    assert moved == pytest.approx(0.95 * alone[0] + 0.05 * alone[1], rel=1e-2)


def test_one_constant_row_is_no_division_by_zero() -> None:
    assert (normalized(torch.full((2, 8), 5.0), 0) == 0).all()


def test_a_text_of_padding_alone_has_no_probabilities_and_finite_gradients() -> None:
    scores = torch.ones(1, 1, 2, 2, requires_grad=True)
    found = softmax(Steps(scores, np.asarray(0.1), 127**2 * 8), torch.zeros(1, 1, 1, 2, dtype=torch.bool))
    found.sum().backward()  # type: ignore[no-untyped-call]
    assert (found == 0).all()
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()

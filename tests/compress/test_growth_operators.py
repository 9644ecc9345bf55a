"""Growth operators: properties of the weights and of the functions before and after."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from replank.models.encoders import ENCODERS, encoder_of
from replank_compress.growing.operators import DEPTH, Growth, Shape, grow, share
from replank_compress.layers import layer_stack
from small_models import INPUTS, make_model

WIDTH_KEY = {"distilbert": "hidden_dim"}


def grown_model(model: Any, layers: int, width: int, *, depth: str = "stack", noise: float = 0.5) -> Any:
    """A model of more layers and wider ones, with the operators' weights."""
    encoder = encoder_of(model.config.to_dict(), "model")
    config = copy.deepcopy(model.config)
    old = Shape(encoder.layers(config.to_dict()), encoder.feed_forward(config.to_dict()))
    setattr(config, encoder.keys.layers, layers)
    setattr(config, encoder.keys.feed_forward, width)
    large = type(model)(config)
    growth = Growth(encoder, old, Shape(layers, width), noise, seed=3)
    weights = grow(model.state_dict(), growth, depth=depth, width="share")
    large.load_state_dict(weights, strict=True)
    return large.eval()


def small_model(model_type: str, width: int = 16, layers: int = 2) -> Any:
    return make_model(model_type, num_hidden_layers=layers, **{WIDTH_KEY.get(model_type, "intermediate_size"): width})


@pytest.mark.parametrize("model_type", list(ENCODERS))
def test_a_wider_model_computes_the_same(model_type: str) -> None:
    """In every architecture, for several numbers of copies, and although the copies were told apart."""
    model = small_model(model_type)
    with torch.no_grad():
        before = model(**INPUTS).logits
        for copies in (1, 2, 3, 4):
            large = grown_model(model, 2, 16 * copies)
            assert encoder_of(large.config.to_dict(), "large").feed_forward(large.config.to_dict()) == 16 * copies
            assert float((large(**INPUTS).logits - before).abs().max()) <= 1e-5


@given(
    inner=st.integers(1, 6),
    copies=st.integers(1, 6),
    outer=st.integers(1, 5),
    noise=st.floats(0, 2),
    seed=st.integers(0, 9),
)
def test_one_widened_feed_forward_layer_computes_the_same(
    inner: int, copies: int, outer: int, noise: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    first, bias, last, given_ = (
        torch.randn(shape, generator=generator, dtype=torch.float64)
        for shape in ((inner, outer), (inner,), (outer, inner), (7, outer))
    )
    name = "bert.encoder.layer.0."
    weights = {
        f"{name}intermediate.dense.weight": first,
        f"{name}intermediate.dense.bias": bias,
        f"{name}output.dense.weight": last,
        f"{name}output.dense.bias": torch.ones(outer),
        f"{name}attention.output.dense.weight": torch.ones(outer, outer),
    }
    growth = Growth(ENCODERS["bert"], Shape(1, inner), Shape(1, inner * copies), noise, seed)
    grown = share(weights, growth)
    assert grown.keys() == weights.keys()

    def computed(values: dict[str, torch.Tensor]) -> torch.Tensor:
        hidden = torch.tanh(
            given_ @ values[f"{name}intermediate.dense.weight"].T + values[f"{name}intermediate.dense.bias"]
        )
        return hidden @ values[f"{name}output.dense.weight"].T

    assert torch.allclose(computed(grown), computed(weights), atol=1e-9)
    assert torch.equal(grown[f"{name}attention.output.dense.weight"], torch.ones(outer, outer))


@pytest.mark.parametrize("depth", list(DEPTH))
@pytest.mark.parametrize(("small", "large"), [(1, 4), (2, 4), (2, 3), (3, 4), (4, 4)])
def test_every_operator_is_a_pure_function_that_changes_layers_alone(depth: str, small: int, large: int) -> None:
    model = small_model("bert", layers=small)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    deep, again = (grown_model(model, large, 16, depth=depth).state_dict() for _ in range(2))
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())
    assert all(torch.equal(deep[name], value) for name, value in again.items())
    others = [name for name in before if "encoder.layer" not in name]
    assert len(others) > 5
    assert all(torch.equal(deep[name], before[name]) for name in others)
    if small == large:
        assert all(torch.equal(deep[name], value) for name, value in before.items())


@pytest.mark.parametrize(
    ("depth", "origins"), [("stack", [0, 1, 2, 0, 1, 2, 0]), ("interleave", [0, 0, 0, 1, 1, 2, 2])]
)
def test_new_layers_are_copies(depth: str, origins: list[int]) -> None:
    model = small_model("bert", layers=3)
    deep = grown_model(model, len(origins), 16, depth=depth)
    for layer, origin in zip(layer_stack(deep), origins, strict=True):
        for ours, theirs in zip(layer.parameters(), layer_stack(model)[origin].parameters(), strict=True):
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize("model_type", [name for name, encoder in ENCODERS.items() if not encoder.mixes_attention])
def test_every_architecture_is_stacked(model_type: str) -> None:
    """Layers are renumbered whatever they are called, and no weight is lost or left over."""
    model = small_model(model_type)
    deep = grown_model(model, 5, 16)
    for index, layer in enumerate(layer_stack(deep)):
        ours, theirs = layer.state_dict(), layer_stack(model)[index % 2].state_dict()
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def train(model: Any, steps: int = 40) -> torch.Tensor:
    """The first matrix of a feed-forward layer after some steps of Adam; nothing here is random but the weights."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    labels = torch.tensor([0, 1])
    for _ in range(steps):
        optimizer.zero_grad()
        model(**INPUTS, labels=labels).loss.backward()
        optimizer.step()
    return first_matrix(model).detach()


def first_matrix(model: Any) -> torch.Tensor:
    matrix: torch.Tensor = model.base_model.encoder.layer[0].intermediate.dense.weight
    return matrix


def test_units_that_were_shared_become_units_of_their_own() -> None:
    """And would never without the perturbation: their gradients are equal."""
    model = small_model("bert", width=4)
    apart, equal = (train(grown_model(model, 2, 16, noise=noise)) for noise in (0.5, 0.0))
    copies = equal.reshape(4, 4, -1)
    assert float((copies - copies[0]).abs().max()) < 1e-5
    assert int(torch.linalg.matrix_rank(equal, atol=1e-3)) == 4
    copies = apart.reshape(4, 4, -1)
    assert float((copies - copies[0]).abs().max()) > 1e-2
    assert int(torch.linalg.matrix_rank(apart, atol=1e-3)) > 8


def test_a_growth_is_the_same_for_the_same_seed_and_another_in_each_layer() -> None:
    model = small_model("bert", layers=1)
    first, second = (grown_model(model, 2, 32) for _ in range(2))
    ours, theirs = first.state_dict(), second.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    lower, upper = (layer.output.dense.weight for layer in first.base_model.encoder.layer)
    assert not torch.equal(lower, upper)


def test_a_width_that_is_no_multiple_is_refused() -> None:
    growth = Growth(ENCODERS["bert"], Shape(1, 16), Shape(1, 40))
    with pytest.raises(ValueError, match="a width of 40 is no multiple of 16"):
        share({}, growth)

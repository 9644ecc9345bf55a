"""Growth operators: the weights of a larger encoder as a pure function of a smaller one's.

Source: Gu et al., "On the Transformer Growth for Progressive BERT Training", NAACL 2021, and its code (grow_bert).
An operator is a function here and a line in :data:`DEPTH` or :data:`WIDTH`.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch

from replank.models.encoder import Encoder

# A model's tensors by transformers' names.
Weights = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Shape:
    """The sizes of an encoder that growth changes; the width of the hidden states never does.

    :param layers: Transformer layers.
    :param width: of the feed-forward layers.
    """

    layers: int
    width: int


@dataclass(frozen=True)
class Growth:
    """A step from one shape to a larger one.

    :param encoder: the architecture, which names the weights.
    :param noise: standard deviation of the perturbation that tells shared feed-forward units apart, relative to that of
        the matrix; 0 leaves them equal, and then they stay equal for ever.
    :param seed: of the perturbation.
    """

    encoder: Encoder
    old: Shape
    new: Shape
    noise: float = 0.0
    seed: int = 0


Operator = Callable[[Weights, Growth], dict[str, torch.Tensor]]


def stack(weights: Weights, growth: Growth) -> dict[str, torch.Tensor]:
    """Depth by stacking, as in the paper: layer i copies layer ``i mod small``. Any ratio; the function changes."""
    return _with_layers(weights, growth, lambda index: index % growth.old.layers)


def interleave(weights: Weights, growth: Growth) -> dict[str, torch.Tensor]:
    """Depth by repetition: layer i copies layer ``i * small // large``, so that neighbours are equal. Any ratio."""
    return _with_layers(weights, growth, lambda index: index * growth.old.layers // growth.new.layers)


def share(weights: Weights, growth: Growth) -> dict[str, torch.Tensor]:
    """Width of the feed-forward layers by sharing: each unit k times, with a k-th of its outgoing weights each.

    The function stays as it is. Equal units would get equal gradients and stay equal for ever, so that the outgoing
    weights are perturbed, with perturbations of a unit's copies that add up to nothing.

    :raises ValueError: the new width is no multiple of the old one.
    """
    copies, rest = divmod(growth.new.width, growth.old.width)
    if rest:
        raise ValueError(f"a width of {growth.new.width} is no multiple of {growth.old.width}")
    encoder, grown = growth.encoder, dict(weights)
    for name, value in weights.items():
        match _below_layer(encoder, name):
            case _, part if part.rpartition(".")[0] in encoder.first_dense:
                # A matrix that holds the gate too has as many rows twice.
                grown[name] = torch.cat([each for each in torch.split(value, growth.old.width) for _ in range(copies)])
            case _, part if part == f"{encoder.last_dense}.weight":
                grown[name] = torch.cat([value / copies + each for each in _perturbations(name, value, growth)], dim=1)
    return grown


DEPTH: Mapping[str, Operator] = {"stack": stack, "interleave": interleave}
"""The operators that add layers, by name."""
WIDTH: Mapping[str, Operator] = {"share": share}
"""The operators that widen the feed-forward layers, by name."""


def grow(weights: Weights, growth: Growth, *, depth: str, width: str) -> dict[str, torch.Tensor]:
    """A larger encoder's weights; those that neither operator concerns are copied.

    :param weights: of a model of ``growth.old``, with or without a head.
    :param depth: a key of :data:`DEPTH`; ``width`` likewise.
    """
    # Depth first: each layer's units are then perturbed otherwise.
    middle = Shape(growth.new.layers, growth.old.width)
    deeper = DEPTH[depth](weights, replace(growth, new=middle))
    return WIDTH[width](deeper, replace(growth, old=middle))


def _with_layers(weights: Weights, growth: Growth, origin: Callable[[int], int]) -> dict[str, torch.Tensor]:
    """The weights with the new number of layers.

    :param origin: the layer that each one copies.
    """
    layers: dict[int, dict[str, str]] = {}
    grown: dict[str, torch.Tensor] = {}
    for name, value in weights.items():
        if found := _below_layer(growth.encoder, name):
            layers.setdefault(found[0], {})[name] = found[1]
        else:
            grown[name] = value
    for index in range(growth.new.layers):
        source = origin(index)
        for name in layers[source]:
            grown[_renumbered(growth.encoder, name, index)] = weights[name].clone()
    return grown


def _below_layer(encoder: Encoder, name: str) -> tuple[int, str] | None:
    """The index of a weight's layer and its name below that; ``None`` outside the layers."""
    index = encoder.layer_of(name)
    return None if index is None else (index, name.split(f"{encoder.stack}.{index}.", 1)[1])


def _renumbered(encoder: Encoder, name: str, index: int) -> str:
    return re.sub(rf"(^|\.)({re.escape(encoder.stack)})\.\d+\.", rf"\g<1>\g<2>.{index}.", name, count=1)


def _perturbations(name: str, value: torch.Tensor, growth: Growth) -> torch.Tensor:
    """One perturbation for each copy, of shape ``(copies, outputs, inputs)``, which add up to 0."""
    copies = growth.new.width // growth.old.width
    # The name's own numbers, so that they do not depend on which other weights there are.
    generator = torch.Generator().manual_seed(growth.seed * 2**32 + zlib.crc32(name.encode()))
    drawn = torch.randn((copies, *value.shape), generator=generator, dtype=torch.float64)
    scale = growth.noise * value.double().std(correction=0) / copies
    return ((drawn - drawn.mean(dim=0)) * scale).to(value.dtype)

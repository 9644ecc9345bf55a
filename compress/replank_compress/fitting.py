"""The fitted start: successor layers that give, as nearly as least squares can have it, what their groups give.

Each starts as the first layer of its group. Its last matrix, which joins the stream of hidden states by a plain sum, is
solved for in closed form on texts of the task, and its last norm becomes that of the group's last layer. From the
bottom: each is fitted to the predecessor's hidden states with what the fitted layers below it give as input, so that it
also makes up for their errors.

Sources: ReplaceMe (arXiv 2505.02819) folds such a matrix into the layer below a pruned block of a decoder; the form for
layers that end with a norm is ours.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import torch
from torch import nn

from replank.models.encoder import Encoder
from replank.system.errors import FieldError
from replank.system.progress import progress
from replank_compress.layers import encoder_of_model, kind_of, layer_stack
from replank_compress.least_squares import RidgeRegression

# A context in which layers compute, in training's precision.
Autocast = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True)
class StartLayers:
    """Layers to start from.

    :param unexplained: for each group, the part of the variance of its outputs that its layer does not give, 0 where
        they are equal; ``None`` of layers that were not fitted.
    """

    layers: list[nn.Module]
    unexplained: tuple[float, ...] | None = None


def fitted_layers(
    predecessor: Any,
    sizes: Sequence[int],
    batches: Sequence[dict[str, torch.Tensor]],
    autocast: Autocast = nullcontext,
) -> StartLayers:
    """Copies of the first layer of each group, fitted to what the group gives.

    :param predecessor: a ``PreTrainedModel``; left as it is.
    :param sizes: how many of its layers each of them replaces.
    :param batches: inputs of the model, of some thousand tokens in all.
    :param autocast: the context of training's precision, for the layers; sums over tokens are in float32, the solution
        in float64.
    :raises FieldError: the layers of a group are of different kinds, or the texts have too few tokens.
    :raises TrainingError: the equations have no solution in finite numbers.
    """
    encoder, stack = encoder_of_model(predecessor), layer_stack(predecessor)
    groups = _groups(list(stack), sizes)
    was_training = predecessor.training
    predecessor.eval()
    with torch.no_grad(), progress("fit of the first layers", len(groups)) as advance:
        states = []
        for batch in batches:
            with autocast():
                first, rest = _inputs(predecessor, stack, batch)
            states.append(_States(first, rest, batch["attention_mask"].bool(), autocast))
        fitted = []
        for group in groups:
            fitted.append(_fit(encoder, group, states))
            advance(1)
    predecessor.train(was_training)
    return StartLayers([layer for layer, _ in fitted], tuple(part for _, part in fitted))


@dataclass
class _States:
    """A batch between two groups.

    :param ours: hidden states below the next group in the successor, shape ``(batch, length, hidden)``.
    :param rest: what a layer takes besides, such as masks, by kind of layer.
    :param real: which tokens are no padding, shape ``(batch, length)``.
    :param autocast: the context that layers run in.
    """

    ours: torch.Tensor
    rest: dict[str | None, tuple[tuple[Any, ...], dict[str, Any]]]
    real: torch.Tensor
    autocast: Autocast

    def __post_init__(self) -> None:
        self.theirs = self.ours

    def run(self, layer: nn.Module, hidden: torch.Tensor) -> torch.Tensor:
        """The hidden states above a layer."""
        args, kwargs = self.rest[kind_of(layer)]
        with self.autocast():
            output: Any = layer(hidden, *args, **kwargs)
        above: torch.Tensor = output[0] if isinstance(output, tuple) else output
        return above


def _groups(layers: list[nn.Module], sizes: Sequence[int]) -> list[list[nn.Module]]:
    rest = iter(layers)
    groups = [[next(rest) for _ in range(size)] for size in sizes]
    for number, group in enumerate(groups):
        if not all(_is_like(layer, group[0]) for layer in group):
            raise FieldError(
                "init_layers",
                "fitted",
                f"groups of layers of one kind; those of group {number + 1} differ",
                hint="choose another `grouping`, or `init_layers='spread'`",
            )
    return groups


def _is_like(layer: nn.Module, other: nn.Module) -> bool:
    """Whether two layers have the same parts of the same shapes, but for parts that one lacks, as a first norm."""
    ours, theirs = layer.state_dict(), other.state_dict()
    return type(layer) is type(other) and all(
        ours[name].shape == theirs[name].shape for name in ours.keys() & theirs.keys()
    )


def _inputs(model: Any, layers: Iterable[nn.Module], batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, Any]:
    """The hidden states that the first layer is given, and the other arguments of each kind of layer."""
    seen: dict[str | None, tuple[torch.Tensor, Any]] = {}

    def keep(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        rest = {name: value for name, value in kwargs.items() if name != "hidden_states"}
        seen.setdefault(kind_of(layer), (args[0] if args else kwargs["hidden_states"], (args[1:], rest)))

    handles = [layer.register_forward_pre_hook(keep, with_kwargs=True) for layer in layers]
    try:
        device = next(model.parameters()).device
        model(**{name: values.to(device) for name, values in batch.items() if name != "labels"})
    finally:
        for handle in handles:
            handle.remove()
    first, *_ = (hidden for hidden, _ in seen.values())
    return first, {kind: rest for kind, (_, rest) in seen.items()}


def _fit(encoder: Encoder, group: list[nn.Module], states: list[_States]) -> tuple[nn.Module, float]:
    """The layer for a group, and the part that it leaves unexplained; the states move above the group.

    A group of one layer is that layer.
    """
    layer = copy.deepcopy(group[0])
    if len(group) > 1:
        _solve(encoder, layer, group, states)
    else:
        for state in states:
            state.theirs = state.run(layer, state.theirs)
    for state in states:
        state.ours = state.run(layer, state.ours)
    return layer, _unexplained(states)


def _solve(encoder: Encoder, layer: nn.Module, group: list[nn.Module], states: list[_States]) -> None:
    """Fit a layer in place; the predecessor's states move above the group."""
    dense = attrgetter(encoder.last_dense)
    hidden = dense(layer).out_features
    equations = RidgeRegression(dense(layer).in_features, 2 * hidden)
    deviations = []
    for state in states:
        with _tapped(encoder, layer) as ours, _tapped(encoder, group[-1]) as theirs:
            state.run(layer, state.ours)
            for member in group:
                state.theirs = state.run(member, state.theirs)
        wanted, sums = theirs.sum[state.real].float(), ours.sum[state.real].float()
        if encoder.last_norm is not None:
            wanted = _normalized(wanted)
            deviations.append(sums.std(dim=-1, correction=0))
        equations.add(ours.product_input[state.real], torch.cat([wanted, sums], dim=-1))
    # A norm divides away the scale of what it is given: that of the layer's own sum changes the matrix least.
    scale = float(torch.cat(deviations).mean()) if deviations else 1.0
    change, shift = (
        scale * solution[..., :hidden] - solution[..., hidden:]
        for solution in equations.solve(has_bias=dense(layer).bias is not None)
    )
    dense(layer).weight.data += change.T.to(dense(layer).weight)
    if dense(layer).bias is not None:
        dense(layer).bias.data += shift.to(dense(layer).bias)
    if encoder.last_norm is not None:
        attrgetter(encoder.last_norm)(layer).load_state_dict(attrgetter(encoder.last_norm)(group[-1]).state_dict())


class _Tap:
    """What a layer computed last.

    :ivar product_input: what its last matrix was multiplied with, shape ``(batch, length, inner)``.
    :ivar sum: its sum before the last norm, or its output where there is none, shape ``(batch, length, hidden)``.
    """

    product_input: torch.Tensor
    sum: torch.Tensor


@contextmanager
def _tapped(encoder: Encoder, layer: nn.Module) -> Iterator[_Tap]:
    tap = _Tap()

    def keep_input(_: nn.Module, args: tuple[Any, ...]) -> None:
        tap.product_input = args[0]

    def keep_sum(_: nn.Module, args: tuple[Any, ...]) -> None:
        tap.sum = args[0]

    def keep_output(_: nn.Module, __: Any, output: Any) -> None:
        tap.sum = output[0] if isinstance(output, tuple) else output

    handles = [attrgetter(encoder.last_dense)(layer).register_forward_pre_hook(keep_input)]
    if encoder.last_norm is None:
        handles.append(layer.register_forward_hook(keep_output))
    else:
        handles.append(attrgetter(encoder.last_norm)(layer).register_forward_pre_hook(keep_sum))
    try:
        yield tap
    finally:
        for handle in handles:
            handle.remove()


def _normalized(hidden: torch.Tensor) -> torch.Tensor:
    """Each token's values with mean 0 and deviation 1: what a norm gives before its own scale and shift."""
    return nn.functional.layer_norm(hidden, hidden.shape[-1:])


def _unexplained(states: list[_States]) -> float:
    """The squared distance of our hidden states from the predecessor's, as a part of the variance of the latter."""
    mean = sum(state.theirs[state.real].float().sum(0) for state in states) / sum(
        int(state.real.sum()) for state in states
    )
    error = sum(float((state.ours - state.theirs)[state.real].float().square().sum()) for state in states)
    spread = sum(float((state.theirs[state.real].float() - mean).square().sum()) for state in states)
    return error / spread if spread else 0.0

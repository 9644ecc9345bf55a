"""An encoder's stack of layers: finding it, cutting it into groups, and putting another in its place."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from operator import attrgetter
from typing import Any

from torch import nn

from replank.models.encoders import encoder_of
from replank.system.errors import UsageError


def layer_stack(model: Any) -> nn.ModuleList:
    """The layers of a transformers encoder, in order."""
    stack: nn.ModuleList = attrgetter(_stack_path(model))(model.base_model)
    return stack


def set_layer_stack(model: Any, layers: Iterable[nn.Module]) -> None:
    """Give an encoder other layers."""
    parent, _, name = _stack_path(model).rpartition(".")
    setattr(attrgetter(parent)(model.base_model), name, nn.ModuleList(layers))


def assemble(model: Any, layers: Iterable[nn.Module]) -> Any:
    """A plain model of the same architecture with the weights of a model and of other layers, all copied.

    :param model: where everything but the layers comes from; left as it is.
    :returns: a ``PreTrainedModel`` in evaluation mode, which needs nothing of replank to be loaded.
    """
    stack, chosen = layer_stack(model), list(layers)
    config = copy.deepcopy(model.config)
    config.num_hidden_layers = len(chosen)
    plain = type(model)(config)
    set_layer_stack(model, chosen)
    try:
        plain.load_state_dict(model.state_dict(), strict=True)
    finally:
        set_layer_stack(model, stack)
    return plain.eval()


def group_sizes(depth: int, layers: int | None, grouping: tuple[int, ...] | None) -> tuple[int, ...]:
    """How many of the predecessor's layers each layer of the successor replaces.

    :param depth: layers of the predecessor.
    :param layers: layers of the successor, equal groups; ``None`` halves them.
    :param grouping: the sizes themselves, of any kind.
    :raises UsageError: equal groups cannot be made, or the sizes do not add up to the depth.
    """
    if grouping is not None:
        if min(grouping, default=0) < 1 or sum(grouping) != depth:
            raise UsageError(
                f"--grouping {','.join(map(str, grouping))} adds up to {sum(grouping)}; the predecessor has {depth} "
                "layers, and each group needs 1 or more"
            )
        if len(grouping) == depth:
            raise UsageError("--grouping leaves every layer in a group of its own; there is nothing to compress")
        if layers not in (None, len(grouping)):
            raise UsageError(f"--layers {layers} contradicts --grouping, which has {len(grouping)} groups")
        return grouping
    wanted = depth // 2 if layers is None else layers
    divisors = [number for number in range(1, depth) if depth % number == 0]
    if wanted not in divisors:
        choices = f"choose one of {', '.join(map(str, reversed(divisors)))}, or name" if divisors else "name"
        raise UsageError(
            f"--layers {wanted} does not divide the predecessor's {depth} layers into equal groups",
            hint=f"{choices} groups of your own: replank compress --grouping {_example_grouping(depth, wanted)}"
            if 0 < wanted < depth
            else (f"choose one of {', '.join(map(str, reversed(divisors)))}" if divisors else None),
        )
    return (depth // wanted,) * wanted


def _example_grouping(depth: int, layers: int) -> str:
    """Groups as equal as can be, the larger ones last: replacing early layers costs the most."""
    small, larger = divmod(depth, layers)
    return ",".join(map(str, [small] * (layers - larger) + [small + 1] * larger))


def _stack_path(model: Any) -> str:
    return encoder_of(model.config.to_dict(), type(model).__name__).layers

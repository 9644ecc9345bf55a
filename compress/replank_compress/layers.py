"""An encoder's stack of layers: finding it, grouping it, and putting another in its place."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from operator import attrgetter
from typing import Any

from torch import nn

from replank.models.encoder import Encoder
from replank.models.encoders import encoder_of
from replank.runtime._torch_pooling import PooledEncoder
from replank.system.errors import FieldError, UsageError


def encoder_of_model(model: Any) -> Encoder:
    """The architecture of a transformers model."""
    return encoder_of(model.config.to_dict(), type(model).__name__)


def layer_stack(model: Any) -> nn.ModuleList:
    """The layers of a transformers encoder, in order."""
    stack: nn.ModuleList = attrgetter(encoder_of_model(model).stack)(model.base_model)
    return stack


def kind_of(layer: nn.Module) -> str | None:
    """A layer's kind of attention, in encoders that mix kinds; else ``None``."""
    kind: str | None = getattr(layer, "attention_type", None)
    return kind


def plain_model(model: Any) -> Any:
    """The ``PreTrainedModel`` itself, without the pooling that may stand around it."""
    return model.base_model if isinstance(model, PooledEncoder) else model


def set_layer_stack(model: Any, layers: Iterable[nn.Module]) -> None:
    """Replace the layers of an encoder, in place."""
    parent, _, name = encoder_of_model(model).stack.rpartition(".")
    owner = attrgetter(parent)(model.base_model) if parent else model.base_model
    setattr(owner, name, nn.ModuleList(layers))


def is_like_bert(model: Any) -> bool:
    """Whether a model's layers have BERT's parts in BERT's order: attention, sum, norm, feed-forward, sum, norm."""
    layer = layer_stack(model)[0]
    attention = getattr(getattr(layer, "attention", None), "self", None)
    has_parts = hasattr(layer, "feed_forward_chunk") and all(hasattr(attention, n) for n in ("query", "key", "value"))
    return has_parts and encoder_of_model(model).last_norm is not None


def assemble(model: Any, layers: Iterable[nn.Module]) -> Any:
    """A plain model of the same architecture with other layers; all weights are copied.

    :param model: the model of everything but the layers; left as it is.
    :returns: a ``PreTrainedModel`` in evaluation mode, which loads without replank; pooled as the model is.
    """
    if isinstance(model, PooledEncoder):
        return model.with_encoder(assemble(model.base_model, layers)).eval()
    stack, chosen = layer_stack(model), list(layers)
    config, encoder = copy.deepcopy(model.config), encoder_of_model(model)
    setattr(config, encoder.keys.layers, len(chosen))
    if encoder.mixes_attention:
        config.layer_types = [kind_of(layer) for layer in chosen]
        # The rule that older files have in place of the list, which their readers would follow.
        vars(config).pop("global_attn_every_n_layers", None)
    plain = type(model)(config)
    set_layer_stack(model, chosen)
    try:
        plain.load_state_dict(model.state_dict(), strict=True)
    finally:
        set_layer_stack(model, stack)
    return plain.eval()


def group_sizes(depth: int, layers: int | None, grouping: tuple[int, ...] | None) -> tuple[int, ...]:
    """The number of the predecessor's layers that each layer of the successor replaces, from the bottom.

    :param depth: layers of the predecessor.
    :param layers: layers of the successor, in groups of equal size; ``None`` halves the depth.
    :param grouping: the sizes themselves, equal or not.
    :raises UsageError: there are no such equal groups, or the sizes do not add up to the depth.
    """
    if grouping is not None:
        if min(grouping, default=0) < 1 or sum(grouping) != depth:
            expected = f"sizes of 1 or more that add up to {depth}, the predecessor's layers"
            raise FieldError("grouping", grouping, expected)
        if len(grouping) == depth:
            raise FieldError("grouping", grouping, "a group of 2 layers or more: there is nothing to compress")
        if layers not in (None, len(grouping)):
            raise UsageError(f"`layers={layers}` contradicts `grouping`, which has {len(grouping)} groups")
        return grouping
    wanted = depth // 2 if layers is None else layers
    divisors = [number for number in range(1, depth) if depth % number == 0]
    if wanted not in divisors:
        choices = ", ".join(map(str, reversed(divisors))) or "none, as there is nothing to compress"
        raise FieldError(
            "layers",
            wanted,
            f"a divisor of {depth}, the predecessor's layers: {choices}",
            hint=f"groups of unequal size work too: `grouping={_example_grouping(depth, wanted)}`"
            if 0 < wanted < depth
            else None,
        )
    return (depth // wanted,) * wanted


def _example_grouping(depth: int, layers: int) -> str:
    """Groups of nearly equal size, the larger ones last: replacing early layers costs the most."""
    small, larger = divmod(depth, layers)
    return ",".join(map(str, [small] * (layers - larger) + [small + 1] * larger))

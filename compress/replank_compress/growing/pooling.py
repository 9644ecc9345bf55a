"""Length by pooling: beyond the first layer's keys and values, an encoder in training sees fewer positions.

Source: Gu et al., "On the Transformer Growth for Progressive BERT Training", NAACL 2021, and its code (grow_bert): the
query and the residual of layer 1 are pooled, its keys and values are not; the first token and the masked ones never
are, and the masked ones come last. Unlike that code, padding is never averaged in.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from replank.system.errors import FieldError
from replank_compress.layers import is_like_bert, layer_stack


def pooling_matrix(mask: torch.Tensor, asked: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean of neighbours as a matrix, by which a batch of hidden states is multiplied.

    Of n real tokens that are not asked, and m that are, ``1 + ceil((n - 1) / size) + m`` positions are left.

    :param mask: 1 for real tokens, shape ``(batch, length)``.
    :param asked: whether the token is to be predicted, of the same shape; the first token is not.
    :param size: tokens that become one, k.
    :returns: the matrix, shape ``(batch, positions, length)``, each row of which adds up to 1, or to 0 where a text has
        fewer positions; and how many a text has that were not asked, shape ``(batch,)``: those asked follow.
    """
    plain = mask.bool() & ~asked
    # The first token is group 0 alone.
    group = torch.where(plain, (plain.cumsum(1) - 2 + size) // size, -1)
    groups = group.amax(1) + 1
    target = torch.where(asked, groups[:, None] + asked.cumsum(1) - 1, group)
    matrix = functional.one_hot(target + 1, int(target.max()) + 2)[..., 1:].transpose(1, 2).float()
    return matrix / matrix.sum(-1, keepdim=True).clamp(min=1), groups


def require_poolable(model: Any) -> None:
    """Refuse an encoder whose first layer cannot have shorter queries than keys.

    :raises FieldError: its layers are not built as BERT's.
    """
    if not is_like_bert(model):
        raise FieldError("pooling", "asked for", f"1 with {type(model).__name__}, whose layers are not built as BERT's")


@contextmanager
def pooled(model: Any, mask: torch.Tensor, matrix: torch.Tensor) -> Iterator[None]:
    """A context in which a model's layers from the second on see pooled positions.

    :param mask: 1 for real tokens, shape ``(batch, length)``.
    :param matrix: of :func:`pooling_matrix`.
    """
    first, *others = layer_stack(model)
    is_there = matrix.sum(-1) > 0.5
    own_forward = first.forward
    first.forward = lambda hidden, *_, **__: _first_layer(first, hidden, mask.bool(), matrix.to(hidden.dtype))
    additive = torch.zeros(is_there.shape, device=mask.device).masked_fill(~is_there, torch.finfo(torch.float32).min)

    def shorten(layer: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        hidden, _, *rest = arguments
        return (hidden, additive[:, None, None, :].to(hidden.dtype), *rest), named

    hooks = [layer.register_forward_pre_hook(shorten, with_kwargs=True) for layer in others]
    try:
        yield
    finally:
        first.forward = own_forward
        for hook in hooks:
            hook.remove()


def _first_layer(layer: Any, hidden: torch.Tensor, mask: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """Layer 1: short queries on all keys and values.

    :param hidden: shape ``(batch, length, width)``.
    :returns: shape ``(batch, positions, width)``.
    """
    attention = layer.attention.self
    heads = attention.num_attention_heads
    with torch.autocast(hidden.device.type, enabled=False):  # what goes around the layer keeps its precision
        short = matrix @ hidden

    def by_head(value: torch.Tensor) -> torch.Tensor:
        return value.view(*value.shape[:2], heads, -1).transpose(1, 2)

    context = functional.scaled_dot_product_attention(
        by_head(attention.query(short)),
        by_head(attention.key(hidden)),
        by_head(attention.value(hidden)),
        attn_mask=mask[:, None, None, :],
        dropout_p=attention.dropout.p if layer.training else 0.0,
    )
    attended = layer.attention.output(context.transpose(1, 2).flatten(2), short)
    pooled_output: torch.Tensor = layer.feed_forward_chunk(attended)
    return pooled_output

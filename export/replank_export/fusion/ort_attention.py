"""Attention of a torch model written as ONNX Runtime's operators, so that no pattern of a graph has to be recognized.

transformers calls attention and rotary embeddings through functions that can be exchanged. Here they become
``MultiHeadAttention`` and ``RotaryEmbedding`` for the time of a trace, whatever the widths and numbers of heads.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from replank_export.fusion.disentangled import disentangled_attention
from replank_export.fusion.operators import join_heads, multi_head_attention, rotary_embedding, split_heads
from replank_export.fusion.packed_projection import attention_of_parts

ORT_ATTENTION = "onnxruntime"

# By the name of a class of transformers: its forward, written anew for the trace.
_FORWARDS: dict[str, Callable[[Any, Any], Callable[..., Any]]] = {
    "DisentangledSelfAttention": disentangled_attention,
    "ModernBertAttention": attention_of_parts,
}


@contextmanager
def ort_attention(model: Any) -> Iterator[None]:
    """Let a model be traced with ONNX Runtime's operators until the block ends; it cannot be run.

    :param model: a ``PreTrainedModel``, which is of no use afterwards.
    """
    ALL_ATTENTION_FUNCTIONS.register(ORT_ATTENTION, _attention)
    ALL_MASK_ATTENTION_FUNCTIONS.register(ORT_ATTENTION, _mask)
    model.config._attn_implementation = ORT_ATTENTION
    for module in model.modules():
        if isinstance(module, nn.LayerNorm) and getattr(module, "bias", None) is None:
            # The operator that adds and normalizes has a bias always.
            module.bias = nn.Parameter(torch.zeros_like(module.weight))
        if forward := _FORWARDS.get(type(module).__name__):
            module.forward = forward(module, model)
    code: Any = sys.modules[type(model).__module__]
    rotary = getattr(code, "apply_rotary_pos_emb", None)
    if rotary:
        code.apply_rotary_pos_emb = _rotary
    try:
        yield
    finally:
        if rotary:
            code.apply_rotary_pos_emb = rotary


def _attention(
    _module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor,
    *,
    scaling: float,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attention as transformers calls it, shapes ``(batch, heads, length, width)``; a key may serve several queries."""
    heads, key_heads = query.shape[1], key.shape[1]
    if key_heads != heads:
        served = torch.arange(key_heads).repeat_interleave(heads // key_heads)
        # Along the heads of rows, which spares turning them round.
        key, value = (tensor.transpose(1, 2).index_select(2, served).transpose(1, 2) for tensor in (key, value))
    query, key, value = join_heads(query), join_heads(key), join_heads(value)
    return multi_head_attention(query, key, value, attention_mask, heads=heads, scale=scaling), None


def _rotary(
    query: torch.Tensor, key: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, **_: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotation as transformers calls it; the angles' second half, shape ``(1, length, width)``, repeats the first."""
    half = cos.shape[-1] // 2
    angles = cos[0, :, :half], sin[0, :, :half]
    rotated = [
        split_heads(rotary_embedding(join_heads(tensor), *angles, heads=tensor.shape[1]), tensor.shape[1])
        for tensor in (query, key)
    ]
    return rotated[0], rotated[1]


def _mask(
    *,
    kv_length: int,
    mask_function: Callable[..., torch.Tensor],
    attention_mask: torch.Tensor,
    dtype: torch.dtype = torch.float32,
    **_: Any,
) -> torch.Tensor:
    """What is added to scores, shape ``(batch, 1, length, length)``: 0, or the lowest number where a key is not seen.

    :param mask_function: whether a query sees a key, by the indices of text, head, query and key.
    :param attention_mask: 0 for padding, shape ``(batch, length)``.
    """
    none, places = torch.zeros((), dtype=torch.int64), torch.arange(kv_length)
    seen = mask_function(none, none, places[:, None], places[None, :]) & attention_mask.bool()[:, None, None, :]
    return torch.where(seen, 0.0, torch.finfo(dtype).min)

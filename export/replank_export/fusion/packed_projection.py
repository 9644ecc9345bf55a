"""ModernBERT's attention for the trace: its one projection cut into query, key and value."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch

from replank_export.fusion.operators import join_heads, multi_head_attention, split_heads


def attention_of_parts(attention: Any, _model: Any) -> Callable[..., Any]:
    """The forward of a ``ModernBertAttention``, which cuts rows instead of unbinding an axis of a view with five."""
    code: Any = sys.modules[type(attention).__module__]
    heads = attention.config.num_attention_heads

    def forward(
        hidden_states: torch.Tensor,
        position_embeddings: tuple[torch.Tensor, torch.Tensor],
        attention_mask: torch.Tensor,
        **_: Any,
    ) -> tuple[torch.Tensor, None]:
        query, key, value = attention.Wqkv(hidden_states).split(hidden_states.shape[-1], dim=-1)
        query, key = code.apply_rotary_pos_emb(split_heads(query, heads), split_heads(key, heads), *position_embeddings)
        query, key = join_heads(query), join_heads(key)
        scale = attention.head_dim**-0.5
        return attention.Wo(multi_head_attention(query, key, value, attention_mask, heads=heads, scale=scale)), None

    return forward

"""DeBERTa's attention for the trace: what positions add to the scores becomes one bias of ``MultiHeadAttention``.

Source: He et al., "DeBERTa" (arXiv 2006.03654), section 3.1. The projections of the relative positions depend on no
text: they are computed here, once, instead of in every forward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from replank_export.fusion.operators import multi_head_attention, split_heads


def disentangled_attention(attention: Any, model: Any) -> Callable[..., Any]:
    """The forward of a ``DisentangledSelfAttention``."""
    heads, kinds = attention.num_attention_heads, [kind for kind in ("c2p", "p2c") if kind in attention.pos_att_type]
    scale = (attention.attention_head_size * (1 + len(kinds))) ** -0.5
    tables = {kind: scale * _positions(attention, model, kind) for kind in kinds if attention.relative_attention}

    def forward(
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor,
        *_: Any,
        relative_pos: torch.Tensor | None = None,
        **__: Any,
    ) -> tuple[torch.Tensor, None]:
        query, key = attention.query_proj(hidden_states), attention.key_proj(hidden_states)
        seen = attention_mask.bool()
        bias = torch.zeros((), dtype=hidden_states.dtype)
        if relative_pos is not None:
            content = {"c2p": query, "p2c": key}
            for kind, table in tables.items():
                bias = bias + _bias(split_heads(content[kind], heads), table, relative_pos, kind)
        masked = torch.where(seen, bias, torch.finfo(bias.dtype).min)
        value = attention.value_proj(hidden_states)
        return multi_head_attention(query, key, value, masked, heads=heads, scale=scale), None

    return forward


def _positions(attention: Any, model: Any, kind: str) -> torch.Tensor:
    """The keys of relative positions for ``c2p``, their queries for ``p2c``, shape ``(heads, width, 2 · span)``."""
    part = "key" if kind == "c2p" else "query"
    project = getattr(attention, f"{part}_proj" if attention.share_att_key else f"pos_{part}_proj")
    with torch.no_grad():
        embeddings = model.base_model.encoder.get_rel_embedding()[: 2 * attention.pos_ebd_size]
        rows: torch.Tensor = project(embeddings)
    return rows.view(len(rows), attention.num_attention_heads, -1).permute(1, 2, 0).contiguous()


def _bias(content: torch.Tensor, table: torch.Tensor, relative_pos: torch.Tensor, kind: str) -> torch.Tensor:
    """One of the two terms, shape ``(batch, heads, length, length)``.

    :param content: queries for ``c2p``, keys for ``p2c``, shape ``(batch, heads, length, width)``.
    :param relative_pos: of each query to each key, shape ``(1, length, length)``.
    """
    batch, heads, length, _ = content.shape
    span = table.shape[-1] // 2
    places = (span + (relative_pos if kind == "c2p" else -relative_pos)).clamp(0, 2 * span - 1)
    scores = torch.gather(content @ table, -1, places.expand(batch, heads, length, length))
    return scores if kind == "c2p" else scores.transpose(-1, -2)

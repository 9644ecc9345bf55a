"""Operators of ONNX Runtime as functions of torch, which the dynamo exporter writes into the graph; they only trace."""

from __future__ import annotations

from typing import Any

import torch


def multi_head_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bias: torch.Tensor, *, heads: int, scale: float
) -> torch.Tensor:
    """``softmax(scale · q kᵀ + bias) v`` of each head, shape ``(batch, length, heads · width)`` as its first three.

    :param bias: shape ``(batch, heads, length, length)``; the first two sizes may be 1.
    """
    inputs = [query, key, value, None, None, bias]
    return _operator("MultiHeadAttention", inputs, {"num_heads": heads, "scale": float(scale)})


def rotary_embedding(rows: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, *, heads: int) -> torch.Tensor:
    """The halves of each head rotated against each other by angles that grow with the position, which begins at 0.

    :param rows: shape ``(batch, length, heads · width)``.
    :param cos: and ``sin``, of each position's angles, shape ``(length, width / 2)``.
    """
    start = torch.zeros(1, dtype=torch.int64)
    return _operator("RotaryEmbedding", [rows, start, cos, sin], {"num_heads": heads, "interleaved": 0})


def join_heads(tensor: torch.Tensor) -> torch.Tensor:
    """From shape ``(batch, heads, length, width)`` to ``(batch, length, heads · width)``."""
    return tensor.transpose(1, 2).flatten(2)


def split_heads(rows: torch.Tensor, heads: int) -> torch.Tensor:
    """The reverse."""
    return rows.view(*rows.shape[:2], heads, -1).transpose(1, 2)


def _operator(name: str, inputs: list[torch.Tensor | None], attributes: dict[str, Any]) -> torch.Tensor:
    """An operator whose result is like its first input."""
    like = inputs[0]
    assert like is not None, "the first input gives shape and type"  # noqa: S101
    result: torch.Tensor = torch.onnx.ops.symbolic(
        f"com.microsoft::{name}", inputs, attributes, dtype=like.dtype, shape=like.shape, version=1
    )
    return result

"""The first layer of a model with references for the trace: its attention is one operator, with more keys than queries.

No pattern of a graph has to be recognized then; the layers above are fused as those of any model.
"""

from __future__ import annotations

from typing import Any

import torch

from replank.runtime._torch_references import ReferencedModel
from replank.text.padding import REFERENCE_NAMES

_LENGTH = 12  # unlike all sizes that texts are traced with


def reference_inputs(model: ReferencedModel, batch: int) -> dict[str, torch.Tensor]:
    """Example inputs of a model's references, by name."""
    states = torch.ones(batch, _LENGTH, model.layer.layer.attention.self.key.out_features)
    mask = torch.ones(batch, _LENGTH, dtype=torch.int64)
    return dict(zip(REFERENCE_NAMES, (states, states.clone(), mask), strict=True))


def attend_by_operator(model: ReferencedModel) -> None:
    """Let a model be traced with ONNX Runtime's operator in its first layer; it cannot be run any more."""
    model.layer.attend = _attend


def _attend(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor, heads: int
) -> torch.Tensor:
    attended: torch.Tensor = _Attention.apply(queries, keys, values, mask.to(torch.int32), heads)  # type: ignore[no-untyped-call]
    return attended


class _Attention(torch.autograd.Function):
    """``MultiHeadAttention`` for the TorchScript exporter; it only traces."""

    @staticmethod
    def forward(
        _context: Any, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor, heads: int
    ) -> torch.Tensor:
        return torch.empty_like(queries)

    @staticmethod
    def symbolic(graph: Any, queries: Any, keys: Any, values: Any, mask: Any, heads: int) -> Any:
        # The projections have added their biases already.
        no_bias = graph.op("prim::Constant")
        no_bias.setType(torch._C.OptionalType.ofTensor())
        inputs = (queries, keys, values, no_bias, mask)
        attended = graph.op("com.microsoft::MultiHeadAttention", *inputs, num_heads_i=heads)
        attended.setType(queries.type())
        return attended

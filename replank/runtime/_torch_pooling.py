"""Pooling in torch: an encoder that gives one vector for each text, to be trained or exported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from transformers.modeling_outputs import SequenceClassifierOutput

from replank.tasks.vectors import Pooling, Vectors

# Of hidden states and the attention mask, shape ``(batch, length, 1)``, to vectors, shape ``(batch, width)``.
_Pool = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class PooledEncoder(nn.Module):
    """A bare encoder with the pooling and the normalization of an embedding model.

    It stands in for a model with a head: its logits are the vectors, its labels are a predecessor's vectors, and its
    loss is :func:`relative_distance`.

    :param encoder: a ``PreTrainedModel`` whose first output is the hidden states.
    :param vectors: pooling and normalization; prompts are put before texts elsewhere.
    """

    def __init__(self, encoder: Any, vectors: Vectors) -> None:
        super().__init__()
        self.base_model, self.vectors = encoder, vectors

    @property
    def config(self) -> Any:
        """The encoder's."""
        return self.base_model.config

    @property
    def supports_gradient_checkpointing(self) -> bool:
        """Whether the encoder's layers can recompute their activations."""
        return bool(getattr(self.base_model, "supports_gradient_checkpointing", False))

    def gradient_checkpointing_enable(self, *arguments: Any, **settings: Any) -> None:
        """The encoder's."""
        self.base_model.gradient_checkpointing_enable(*arguments, **settings)

    def with_encoder(self, encoder: Any) -> PooledEncoder:
        """The same pooling over another encoder."""
        return PooledEncoder(encoder, self.vectors)

    def forward(self, *, labels: torch.Tensor | None = None, return_dict: bool = True, **inputs: Any) -> Any:
        """The vectors as ``logits``, shape ``(batch, width)``.

        :param labels: vectors to be near to, of the same shape.
        """
        outputs = self.base_model(**inputs)
        states = outputs[0].float()
        mask = inputs["attention_mask"].unsqueeze(-1).to(states.dtype)
        vectors = states if self.vectors.pooling is None else _POOLINGS[self.vectors.pooling](states, mask)
        if self.vectors.normalize:
            # Neither functional.normalize nor `norm`, for ONNX Runtime infers no shape behind their graphs.
            lengths = vectors.square().sum(dim=-1, keepdim=True).clamp_min(1e-24).sqrt()
            vectors = vectors / lengths
        if not return_dict:
            return (vectors,)
        loss = None if labels is None else relative_distance(vectors, labels).mean()
        hidden_states = outputs.hidden_states if inputs.get("output_hidden_states") else None
        return SequenceClassifierOutput(loss=loss, logits=vectors, hidden_states=hidden_states)


def relative_distance(vectors: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """The squared distance of each vector from another, as a part of the other's squared length.

    Of vectors of length 1 it is twice the cosine distance; so it weighs the same for models that do not normalize.

    :param vectors: shape ``(batch, width)``; ``wanted`` likewise.
    :returns: shape ``(batch,)``.
    """
    vectors, wanted = vectors.float(), wanted.float()
    return (vectors - wanted).square().sum(-1) / wanted.square().sum(-1).clamp_min(1e-12)


def _mean(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return (states * mask).sum(1) / mask.sum(1)


def _first(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    # The first real token, which padding may stand before. A product, because fusions know it and a gather they do not.
    return (states * (mask * (mask.cumsum(1) == 1))).sum(1)


def _last(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return (states * (mask * (mask.cumsum(1) == mask.sum(1, keepdim=True)))).sum(1)


def _max(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return states.masked_fill(mask == 0, torch.finfo(states.dtype).min).amax(1)


def _weighted_mean(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return _mean(states, mask * mask.cumsum(1))


_POOLINGS: Mapping[Pooling, _Pool] = {
    "mean": _mean,
    "cls": _first,
    "max": _max,
    "mean_sqrt_len_tokens": lambda states, mask: (states * mask).sum(1) / mask.sum(1).sqrt(),
    "weightedmean": _weighted_mean,
    "lasttoken": _last,
}

"""References in torch: a first layer whose queries also see keys and values that are not of the text."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from replank.models.encoders import encoder_of
from replank.text.padding import REFERENCE_NAMES

# The mask of a batch's texts, then keys, values and mask of its references, see :class:`References`.
Given = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
# Of queries, keys and values, shape ``(batch, length, heads · width)``, a mask, shape ``(batch, keys)``, and the number
# of heads, to what the queries attend to, shaped as they are.
Attend = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, int], torch.Tensor]


class ReferenceLayer(nn.Module):
    """A first layer whose keys and values are joined by those of references, which are never queries.

    With all references masked it computes what the layer alone computes.

    :param layer: a layer built as BERT's.
    :ivar given: what the next forward pass attends to.
    :ivar attend: how it is attended to: an export writes an operator here.
    """

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer
        self.given: Given | None = None
        self.attend: Attend = self._attend

    def forward(self, hidden_states: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        """Hidden states in, hidden states out, shape ``(batch, length, width)``."""
        if self.given is None:
            raise ValueError("a layer with references needs those of its batch")
        mask, keys, values, reference_mask = self.given
        attention = self.layer.attention.self
        own_keys, own_values = attention.key(hidden_states), attention.value(hidden_states)
        context = self.attend(
            attention.query(hidden_states),
            torch.cat([own_keys, keys.to(own_keys.dtype)], dim=1),
            torch.cat([own_values, values.to(own_values.dtype)], dim=1),
            torch.cat([mask, reference_mask], dim=1),
            attention.num_attention_heads,
        )
        attended = self.layer.attention.output(context, hidden_states)
        output: torch.Tensor = self.layer.feed_forward_chunk(attended)
        return output

    def _attend(
        self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor, heads: int
    ) -> torch.Tensor:
        def by_head(rows: torch.Tensor) -> torch.Tensor:
            return rows.view(*rows.shape[:2], heads, -1).transpose(1, 2)

        context = functional.scaled_dot_product_attention(
            by_head(queries),
            by_head(keys),
            by_head(values),
            attn_mask=mask.bool()[:, None, None, :],
            dropout_p=self.layer.attention.self.dropout.p if self.training else 0.0,
        )
        return context.transpose(1, 2).flatten(2)


class ReferencedModel(nn.Module):
    """A model whose first layer sees references: they are inputs of their own beside the model's.

    :param model: a ``PreTrainedModel`` of layers built as BERT's, whose first becomes a :class:`ReferenceLayer`.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.layer = model, put_reference_layer(model)

    @property
    def config(self) -> Any:
        """The model's."""
        return self.model.config

    def forward(self, **inputs: Any) -> Any:
        """The model's outputs, of its inputs and those of :data:`REFERENCE_NAMES`."""
        keys, values, reference_mask = (inputs.pop(name) for name in REFERENCE_NAMES)
        self.layer.given = inputs["attention_mask"], keys, values, reference_mask
        return self.model(**inputs)


def put_reference_layer(model: Any) -> ReferenceLayer:
    """Replace a model's first layer by a :class:`ReferenceLayer` around it, in place.

    :param model: a ``PreTrainedModel`` of layers built as BERT's.
    :returns: the new layer.
    """
    encoder = encoder_of(model.config.to_dict(), type(model).__name__)
    stack = attrgetter(encoder.stack)(model.base_model)
    layer = stack[0] = ReferenceLayer(stack[0])
    return layer

"""A student that attends to a reference: keys and values of its first layer are joined by those of stored states.

The design is our reading of the paper's visible half-sentence: queries of the text alone; keys of the reference from
the predecessor's embeddings, values from its last hidden states, each through a matrix of its own; later layers and
the head as they are. The reference is never a query, and gets no positions beside those that its states hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from replank.system.errors import ModelError
from replank.text.tokens import Tokens
from replank_compress.layers import is_like_bert, layer_stack
from replank_compress.references.bank import ReferenceBank
from replank_compress.references.retrieval import Retriever

# Embeddings, hidden states and mask of a batch's references, see :meth:`ReferenceBank.batch`.
References = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
# What finds the references of a batch: of its token ids and mask, each of shape ``(batch, length)``.
Lookup = Callable[[torch.Tensor, torch.Tensor], References]


class ReferenceLayer(nn.Module):
    """A first layer whose queries also see a reference.

    :param layer: a layer built as BERT's; its own matrices start those of the references, where the widths are equal.
    :param width: of the stored states.
    """

    def __init__(self, layer: Any, width: int) -> None:
        super().__init__()
        own = layer.attention.self
        self.layer = layer
        self.reference_key = nn.Linear(width, own.key.out_features)
        self.reference_value = nn.Linear(width, own.value.out_features)
        if width == own.key.in_features:
            self.reference_key.load_state_dict(own.key.state_dict())
            self.reference_value.load_state_dict(own.value.state_dict())
        self.given: tuple[torch.Tensor, References] | None = None

    def forward(self, hidden_states: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        """Hidden states in, hidden states out, shape ``(batch, length, width)``.

        The mask and the references of the batch are in :attr:`given`.
        """
        if self.given is None:
            raise ValueError("a reference layer needs the references of its batch")
        mask, (embeddings, hidden, is_there) = self.given
        attention = self.layer.attention.self
        heads = attention.num_attention_heads

        def by_head(own: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
            joined = torch.cat([own, *others], dim=1)
            return joined.view(*joined.shape[:2], heads, -1).transpose(1, 2)

        context = functional.scaled_dot_product_attention(
            by_head(attention.query(hidden_states)),
            by_head(attention.key(hidden_states), self.reference_key(embeddings)),
            by_head(attention.value(hidden_states), self.reference_value(hidden)),
            attn_mask=torch.cat([mask, is_there], dim=1).bool()[:, None, None, :],
            dropout_p=attention.dropout.p if self.training else 0.0,
        )
        attended = self.layer.attention.output(context.transpose(1, 2).flatten(2), hidden_states)
        output: torch.Tensor = self.layer.feed_forward_chunk(attended)
        return output


class BankLookup:
    """References from a bank, by a rule; what was found for a text is kept.

    :param limit: texts whose reference is kept.
    """

    def __init__(self, bank: ReferenceBank, retriever: Retriever, limit: int = 100_000) -> None:
        self._bank, self._retriever, self._limit = bank, retriever, limit
        self._found: dict[tuple[int, ...], int] = {}

    def __call__(self, ids: torch.Tensor, mask: torch.Tensor) -> References:
        """The references of a batch; without gradients, on the batch's device."""
        rows = [tuple(row[is_real.bool()].tolist()) for row, is_real in zip(ids.cpu(), mask.cpu(), strict=True)]
        unknown = sorted({row for row in rows if row not in self._found})
        if len(self._found) + len(unknown) > self._limit:
            self._found.clear()
            unknown = sorted(set(rows))
        texts = [Tokens(list(row), [0] * len(row)) for row in unknown]
        self._found |= zip(unknown, self._retriever.nearest(texts).tolist(), strict=True)
        embeddings, hidden, is_there = self._bank.batch([self._found[row] for row in rows])
        return embeddings.to(ids.device), hidden.to(ids.device), is_there.to(ids.device)


class ConstantReference(nn.Module):
    """A control: one reference of so many learned states, the same for every text."""

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.embeddings = nn.Parameter(0.02 * torch.randn(tokens, width))
        self.hidden = nn.Parameter(0.02 * torch.randn(tokens, width))

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> References:
        """The same for every row of a batch."""
        rows = len(ids)
        is_there = torch.ones(rows, len(self.embeddings), dtype=torch.long, device=ids.device)
        return self.embeddings.expand(rows, -1, -1), self.hidden.expand(rows, -1, -1), is_there


def attach_references(model: Any, lookup: Lookup, width: int) -> Any:
    """Let a model's first layer see references, which are looked up in each forward pass, in place.

    :param model: a ``PreTrainedModel`` whose layers are built as BERT's.
    :param width: of the stored states.
    :returns: the model.
    :raises ModelError: its layers are built otherwise.
    """
    stack = layer_stack(model)
    if not is_like_bert(model):
        raise ModelError(
            f"{type(model).__name__} cannot take references: its layers are not built as BERT's",
            hint="BERT, ELECTRA, RoBERTa, XLM-RoBERTa, CamemBERT, data2vec and ERNIE can",
        )
    layer = ReferenceLayer(stack[0], width)
    stack[0] = layer
    if isinstance(lookup, nn.Module):
        layer.add_module("constant", lookup)  # so that it is trained and saved

    def look_up(module: Any, arguments: Sequence[Any], named: dict[str, Any]) -> None:
        ids, mask = named["input_ids"], named["attention_mask"]
        layer.given = mask, lookup(ids, mask)

    model.register_forward_pre_hook(look_up, with_kwargs=True)
    return model

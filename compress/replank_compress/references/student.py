"""A student that attends to a predecessor's states: they become keys and values of its first layer by two matrices.

The design is our reading of the paper's visible half-sentence: queries of the text alone; keys of the reference from
the predecessor's embeddings, values from its last hidden states, each through a matrix of its own; later layers and
the head as they are. The reference is never a query, and gets no positions beside those that its states hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from replank.references.bank import BankPrecision, ReferenceBank, Rows
from replank.references.retrieval import Retriever
from replank.runtime._torch_references import ReferenceLayer, put_reference_layer
from replank.system.errors import ModelError
from replank_compress.layers import is_like_bert
from replank_compress.references.states import States

# Embeddings, hidden states and mask of a batch's references, see :meth:`States.batch`.
StatesOfBatch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
# What finds the references of a batch: of its token ids and mask, each of shape ``(batch, length)``.
Lookup = Callable[[torch.Tensor, torch.Tensor], StatesOfBatch]
# Rows of states that become rows of a bank together.
_ROWS_AT_ONCE = 8192


class Projections(nn.Module):
    """The two matrices that make keys and values of states.

    :param layer: the first layer, built as BERT's; its own matrices start them, where the widths are equal.
    :param width: of the states.
    """

    def __init__(self, layer: Any, width: int) -> None:
        super().__init__()
        own = layer.attention.self
        self.key = nn.Linear(width, own.key.out_features)
        self.value = nn.Linear(width, own.value.out_features)
        if width == own.key.in_features:
            self.key.load_state_dict(own.key.state_dict())
            self.value.load_state_dict(own.value.state_dict())

    def forward(self, embeddings: torch.Tensor, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values, shape ``(…, tokens, width)`` as the states."""
        return self.key(embeddings), self.value(hidden)

    def bank(self, states: States, retriever: Retriever, precision: BankPrecision) -> ReferenceBank:
        """What is left of predecessor and matrices when the student is trained.

        :raises ModelError: a key or value is NaN or infinite.
        """
        pairs = zip((self.key, self.value), (states.embeddings, states.hidden), strict=True)
        keys, values = (Rows.of(_projected(linear, rows), precision) for linear, rows in pairs)
        return ReferenceBank(keys, values, states.starts, retriever)


class StatesLookup:
    """References among a predecessor's states, by a rule; what was found for a text is kept.

    :param limit: texts whose reference is kept.
    """

    def __init__(self, states: States, retriever: Retriever, limit: int = 100_000) -> None:
        self._states, self._retriever, self._limit = states, retriever, limit
        self._found: dict[tuple[int, ...], int] = {}

    def __call__(self, ids: torch.Tensor, mask: torch.Tensor) -> StatesOfBatch:
        """The references of a batch; without gradients, on the batch's device."""
        rows = [tuple(row[is_real.bool()].tolist()) for row, is_real in zip(ids.cpu(), mask.cpu(), strict=True)]
        unknown = sorted({row for row in rows if row not in self._found})
        if len(self._found) + len(unknown) > self._limit:
            self._found.clear()
            unknown = sorted(set(rows))
        self._found |= zip(unknown, self._retriever.nearest(unknown).tolist(), strict=True)
        embeddings, hidden, is_there = self._states.batch([self._found[row] for row in rows])
        return embeddings.to(ids.device), hidden.to(ids.device), is_there.to(ids.device)


def takes_references(model: Any) -> bool:
    """Whether layers are built as BERT's, and their attention is an interface, behind which keys may be more than
    tokens."""
    return is_like_bert(model) and bool(getattr(model, "_supports_attention_backend", False))


def attach_references(model: Any, lookup: Lookup, width: int) -> Projections:
    """Let a model's first layer see references, which are looked up in each forward pass, in place.

    :param model: a ``PreTrainedModel`` whose layers are built as BERT's.
    :param lookup: a module of torch is trained with the model.
    :param width: of the states.
    :returns: the matrices that are trained with the model.
    :raises ModelError: its layers are built otherwise.
    """
    if not takes_references(model):
        raise ModelError(
            f"{type(model).__name__} cannot take references: its layers are not built as BERT's",
            hint="BERT, ELECTRA, RoBERTa, XLM-RoBERTa, CamemBERT, data2vec and ERNIE can",
        )
    layer: ReferenceLayer = put_reference_layer(model)
    projections = Projections(layer.layer, width)
    layer.add_module("projections", projections)
    if isinstance(lookup, nn.Module):
        layer.add_module("lookup", lookup)

    def look_up(module: Any, arguments: Sequence[Any], named: dict[str, Any]) -> None:
        ids, mask = named["input_ids"], named["attention_mask"]
        embeddings, hidden, is_there = lookup(ids, mask)
        layer.given = mask, *projections(embeddings, hidden), is_there

    model.register_forward_pre_hook(look_up, with_kwargs=True)
    return projections


def _projected(linear: nn.Linear, rows: NDArray[np.float16]) -> NDArray[np.float32]:
    found = np.empty((len(rows), linear.out_features), dtype=np.float32)
    with torch.no_grad():
        for begin in range(0, len(rows), _ROWS_AT_ONCE):
            part = slice(begin, begin + _ROWS_AT_ONCE)
            states = torch.from_numpy(rows[part].astype(np.float32)).to(linear.weight.device)
            found[part] = linear(states).cpu().numpy()
    return found

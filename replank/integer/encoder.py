"""An encoder in integers: token ids in, the last hidden state in 8 bits out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from replank.integer.gelu import Gelu
from replank.integer.integers import Integers, Reals, multiply_matrices
from replank.integer.layer_norm import LayerNorm
from replank.integer.linear import Linear
from replank.integer.requantizer import Requantizer
from replank.integer.softmax import Softmax

Observe = Callable[[str, Integers, int], None]
"""Called with the name of each tensor, its values, and the bits that they have room in."""


def ignore(_name: str, _values: Integers, _bits: int) -> None:
    """Observe nothing."""


@dataclass(frozen=True)
class Projection:
    """A linear layer whose results return to few bits: 8, or what comes after needs."""

    linear: Linear
    requantizer: Requantizer

    def __call__(self, values: Integers, name: str, observe: Observe) -> Integers:
        """The results of 8-bit values."""
        sums = self.linear(values)
        observe(f"{name}.accumulator", sums, 32)
        results = self.requantizer(sums)
        observe(name, results, self.requantizer.bits)
        return results


@dataclass(frozen=True)
class Residual:
    """The sum of a linear layer and what went around it, and the norm of that sum.

    :param branch: what went around, from 8 bits to the scale of the sum; the projection comes at that scale.
    :param end: the sum is clipped to ``[-end, end]``.
    """

    projection: Projection
    branch: Requantizer
    end: int
    norm: LayerNorm

    def __call__(self, values: Integers, around: Integers, name: str, observe: Observe) -> Integers:
        """The norms, in 8 bits."""
        added = self.projection(values, f"{name}_projection", observe) + self.branch(around)
        total = np.clip(added, -self.end, self.end)
        observe(f"{name}_sum", total, self.end.bit_length() + 1)
        result = self.norm(total)
        observe(name, result, 8)
        return result


@dataclass(frozen=True)
class Attention:
    """Attention of several heads.

    :param context: the weighted sums of values, to 8 bits.
    """

    heads: int
    query: Projection
    key: Projection
    value: Projection
    softmax: Softmax
    context: Requantizer

    def __call__(self, hidden: Integers, mask: Integers, name: str, observe: Observe) -> Integers:
        """The context of each token, in 8 bits.

        :param mask: 0 for masked keys, shape ``(batch, length)``.
        """
        query = self._split(self.query(hidden, f"{name}.query", observe))
        key = self._split(self.key(hidden, f"{name}.key", observe))
        value = self._split(self.value(hidden, f"{name}.value", observe))
        scores = multiply_matrices(query, key.swapaxes(-1, -2))
        observe(f"{name}.scores", scores, 32)
        probabilities = self.softmax(scores, mask[:, None, None, :])
        observe(f"{name}.probabilities", probabilities, 9)  # of which the sign is never used
        sums = multiply_matrices(probabilities, value)
        observe(f"{name}.context.accumulator", sums, 32)
        context = self.context(sums.swapaxes(1, 2).reshape(*hidden.shape[:2], self.context_width))
        observe(f"{name}.context", context, 8)
        return context

    @property
    def context_width(self) -> int:
        """Channels of the context: those of all heads."""
        return int(self.value.linear.bias.size)

    def _split(self, values: Integers) -> Integers:
        """``(batch, length, width)`` to ``(batch, heads, length, width / heads)``."""
        batch, length, _ = values.shape
        return values.reshape(batch, length, self.heads, -1).swapaxes(1, 2)


@dataclass(frozen=True)
class Layer:
    """A Transformer layer.

    :param intermediate: to the 16 bits that GELU takes.
    :param activated: from GELU's 32 bits to 8.
    """

    attention: Attention
    attention_output: Residual
    intermediate: Projection
    gelu: Gelu
    activated: Requantizer
    output: Residual

    def __call__(self, hidden: Integers, mask: Integers, name: str = "", observe: Observe = ignore) -> Integers:
        """The next hidden state, in 8 bits."""
        context = self.attention(hidden, mask, name, observe)
        attended = self.attention_output(context, hidden, f"{name}.attention", observe)
        active = self.gelu(self.intermediate(attended, f"{name}.intermediate", observe))
        observe(f"{name}.gelu.wide", active, 32)
        activated = self.activated(active)
        observe(f"{name}.gelu", activated, 8)
        return self.output(activated, attended, f"{name}.output", observe)


@dataclass(frozen=True)
class Table:
    """Rows of embeddings in 8 bits, and the way to the scale of their sum."""

    rows: Integers
    requantizer: Requantizer

    def __call__(self, ids: Integers) -> Integers:
        """The rows of some ids, at the scale of the sum."""
        return self.requantizer(self.rows[ids])


@dataclass(frozen=True)
class Embeddings:
    """Sums of embeddings, and their norm.

    :param padding_id: the id whose tokens have no position of their own; ``None``: positions count from 0.
    :param token_types: ``None`` where the model has none.
    :param end: sums are clipped to ``[-end, end]``: 16 bits.
    :param projection: between the embeddings and the layers, where their widths differ.
    """

    words: Table
    positions: Table
    token_types: Table | None
    padding_id: int | None
    end: int
    norm: LayerNorm
    projection: Projection | None

    def __call__(self, input_ids: Integers, token_type_ids: Integers | None, observe: Observe = ignore) -> Integers:
        """The first hidden state, in 8 bits."""
        total = self.words(input_ids) + self.positions(self.position_ids(input_ids))
        if self.token_types:
            total = total + self.token_types(np.zeros_like(input_ids) if token_type_ids is None else token_type_ids)
        total = np.clip(total, -self.end, self.end)
        observe("embeddings.sum", total, self.end.bit_length() + 1)
        hidden = self.norm(total)
        observe("embeddings", hidden, 8)
        return self.projection(hidden, "embeddings.projected", observe) if self.projection else hidden

    def position_ids(self, input_ids: Integers) -> Integers:
        """The position of each token."""
        if self.padding_id is None:
            return np.broadcast_to(np.arange(input_ids.shape[1]), input_ids.shape)
        is_token = (input_ids != self.padding_id).astype(np.int64)
        return np.asarray(np.cumsum(is_token, axis=1) * is_token + self.padding_id)


@dataclass(frozen=True)
class IntegerEncoder:
    """An encoder whose every constant is an integer.

    :param scale: the real size of a step of the last hidden state, one or one a channel.
    """

    embeddings: Embeddings
    layers: tuple[Layer, ...]
    scale: Reals

    def __call__(
        self,
        input_ids: Integers,
        attention_mask: Integers,
        token_type_ids: Integers | None = None,
        observe: Observe = ignore,
    ) -> Integers:
        """The last hidden state in 8 bits, shape ``(batch, length, width)``.

        :param attention_mask: 0 for padding, which may be anywhere; like the ids of shape ``(batch, length)``.
        """
        hidden = self.embeddings(input_ids, token_type_ids, observe)
        for index, layer in enumerate(self.layers):
            hidden = layer(hidden, attention_mask, f"layers.{index}", observe)
        return hidden

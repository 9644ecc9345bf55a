"""The constants of an integer encoder, from real weights and the range of each activation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replank.integer.encoder import Attention, Embeddings, IntegerEncoder, Layer, Projection, Residual, Table
from replank.integer.families import Family, family_of
from replank.integer.gelu import FINEST_SCALE, INPUT_BITS, Gelu
from replank.integer.integers import Reals, largest
from replank.integer.layer_norm import OUTPUT_BITS, LayerNorm
from replank.integer.linear import Linear
from replank.integer.quantizer import quantize, scale_of
from replank.integer.ranges import Ranges
from replank.integer.requantizer import Requantizer, coarse_enough
from replank.integer.softmax import MOST_KEYS, PROBABILITY_SCALE, Softmax
from replank.models.encoder import Encoder
from replank.models.encoders import encoder_of
from replank.system.errors import ModelError

Weights = Mapping[str, NDArray[np.floating[Any]]]
_SUM_BITS = 16
_RESIDUAL_BITS = 22


def build(config: dict[str, Any], weights: Weights, ranges: Ranges, name: str = "the model") -> IntegerEncoder:
    """An encoder in integers.

    :param config: the model's ``config.json``, with transformers' defaults filled in: ``model.config.to_dict()``.
    :param weights: of ``model.base_model``, by their names there, as ``state_dict()`` gives them.
    :param ranges: of every activation of :meth:`Family.points`.
    :param name: of the model, for messages.
    :raises ModelError: the model does not fit the integer kernels, or a weight or range is not finite.
    """
    return _Builder(config, weights, ranges, name).encoder()


def residual_bits(width: int) -> int:
    """Bits of the sum before a norm: 22, or fewer where a row of them would not be summed within 32."""
    return min(_RESIDUAL_BITS, 32 - math.ceil(math.log2(width)))


@dataclass(frozen=True)
class _Builder:
    config: dict[str, Any]
    weights: Weights
    ranges: Ranges
    name: str

    @property
    def _family(self) -> Family:
        return family_of(self.config, self.name)

    @property
    def _architecture(self) -> Encoder:
        return encoder_of(self.config, self.name)

    def encoder(self) -> IntegerEncoder:
        """Everything, in the order of computation: each part needs the scale of the one before."""
        if (keys := self._architecture.position_limit(self.config)) > MOST_KEYS:
            raise ModelError(f"{self.name} reads {keys} tokens; a softmax in integers sums {MOST_KEYS} keys at most")
        embeddings, scale = self._embeddings()
        layers = []
        for index in range(self._architecture.layers(self.config)):
            layer, scale = self._layer(index, scale)
            layers.append(layer)
        return IntegerEncoder(embeddings, tuple(layers), scale)

    def _embeddings(self) -> tuple[Embeddings, Reals]:
        """The embeddings, and the scale of the first hidden state."""
        family = self._family
        modules = [family.words, family.positions, *([family.token_types] if family.token_types else [])]
        tables = [self._weight(f"{module}.weight") for module in modules]
        scale = scale_of(self._range("embeddings.sum"), _SUM_BITS)
        scale = coarse_enough(scale, max(float(np.abs(table).max()) for table in tables))
        found = [self._table(table, scale) for table in tables]
        norm, norm_scale = self._norm(family.embedding_norm, scale, "embeddings")
        projection, hidden_scale = None, norm_scale
        if f"{family.projection}.weight" in self.weights:
            projection, hidden_scale = self._projection(family.projection, norm_scale, "embeddings.projected")
        counts_tokens = self._architecture.first_position is None
        padding = int(self.config.get("pad_token_id") or 0) if counts_tokens else None
        types = found[2] if family.token_types else None
        return Embeddings(found[0], found[1], types, padding, largest(_SUM_BITS), norm, projection), hidden_scale

    @staticmethod
    def _table(values: Reals, sum_scale: Reals) -> Table:
        scale, end = scale_of(np.abs(values).max(), 8), largest(8)
        return Table(quantize(values, scale, 8), Requantizer.of(scale / sum_scale, input_bound=end, end=largest(30)))

    def _layer(self, index: int, scale: Reals) -> tuple[Layer, Reals]:
        """A layer and the scale of its output.

        :param scale: of its input.
        """
        family, name = self._family, f"layers.{index}"
        attention, context_scale = self._attention(index, scale)
        attended, attended_scale = self._residual(
            index, family.attention, family.attention_norm, context_scale, scale, f"{name}.attention"
        )
        linear = self._linear(family.layer(index, family.intermediate), attended_scale)
        gelu_scale = np.maximum(scale_of(self._range(f"{name}.intermediate"), INPUT_BITS), FINEST_SCALE)
        gelu_scale = coarse_enough(gelu_scale, linear.largest_real)
        intermediate = Projection(linear, self._requantizer(linear, gelu_scale, largest(INPUT_BITS)))
        gelu = Gelu.of(float(gelu_scale))
        activated_scale = coarse_enough(
            scale_of(self._range(f"{name}.gelu", linear.bias.size), 8), gelu.bound * gelu.output_scale
        )
        activated = Requantizer.of(gelu.output_scale / activated_scale, input_bound=gelu.bound, end=largest(8))
        output, output_scale = self._residual(
            index, family.output, family.output_norm, activated_scale, attended_scale, f"{name}.output"
        )
        return Layer(attention, attended, intermediate, gelu, activated, output), output_scale

    def _attention(self, index: int, scale: Reals) -> tuple[Attention, Reals]:
        """Attention and the scale of its context."""
        family, name, heads = self._family, f"layers.{index}", self._architecture.heads(self.config)
        query, query_scale = self._projection(family.layer(index, family.query), scale, f"{name}.query")
        key, key_scale = self._projection(family.layer(index, family.key), scale, f"{name}.key")
        value, value_scale = self._projection(family.layer(index, family.value), scale, f"{name}.value")
        width = query.linear.bias.size // heads
        softmax = Softmax.of(float(query_scale * key_scale) / math.sqrt(width), largest(8) ** 2 * width)
        # Probabilities of a row add up to little more than 1, whatever the rounding: at most a half for each key.
        bound = largest(8) * (256 + self._architecture.position_limit(self.config))
        sums_scale = value_scale * PROBABILITY_SCALE
        context_scale = coarse_enough(
            scale_of(self._range(f"{name}.context", value.linear.bias.size), 8), bound * sums_scale
        )
        context = Requantizer.of(sums_scale / context_scale, input_bound=bound, end=largest(8))
        return Attention(heads, query, key, value, softmax, context), context_scale

    def _residual(
        self, index: int, dense: str, norm: str, scale: Reals, around_scale: Reals, name: str
    ) -> tuple[Residual, Reals]:
        """A linear layer with what goes around it and the norm, and the scale of the norm's 8 bits.

        :param scale: of what the linear layer reads.
        :param around_scale: of what goes around it.
        """
        family, end = self._family, largest(8)
        linear = self._linear(family.layer(index, dense), scale)
        bits = residual_bits(linear.bias.size)
        sum_scale = scale_of(self._range(f"{name}_sum"), bits)
        sum_scale = coarse_enough(sum_scale, max(linear.largest_real, float(np.max(end * around_scale))))
        projection = Projection(linear, self._requantizer(linear, sum_scale, largest(30)))
        branch = Requantizer.of(around_scale / sum_scale, input_bound=end, end=largest(30))
        layer_norm, norm_scale = self._norm(family.layer(index, norm), sum_scale, name)
        return Residual(projection, branch, largest(bits), layer_norm), norm_scale

    def _norm(self, module: str, scale: Reals, name: str) -> tuple[LayerNorm, Reals]:
        """A layer norm and the scale of its 8 bits.

        :param scale: of its input.
        """
        gamma, beta = self._weight(f"{module}.weight"), self._weight(f"{module}.bias")
        steps = LayerNorm.steps_of(gamma)
        highest = np.abs(steps) * 2**OUTPUT_BITS + np.abs(beta)
        # Where the tensor has one range, it has one scale.
        highest = highest if self.ranges[name].ndim else highest.max()
        norm_scale = coarse_enough(scale_of(self._range(name, gamma.size), 8), highest)
        affine = Requantizer.of(steps / norm_scale, input_bound=2**OUTPUT_BITS, end=largest(8), bias=beta / norm_scale)
        real_epsilon = float(self.config.get("layer_norm_eps", 1e-12))
        return LayerNorm(LayerNorm.epsilon_of(real_epsilon, float(scale), gamma.size), affine), norm_scale

    def _projection(self, module: str, scale: Reals, name: str) -> tuple[Projection, Reals]:
        """A linear layer with results of 8 bits, and their scale."""
        linear = self._linear(module, scale)
        width = linear.bias.size if name == "embeddings.projected" else 1
        result_scale = coarse_enough(scale_of(self._range(name, width), 8), linear.largest_real)
        return Projection(linear, self._requantizer(linear, result_scale, largest(8))), result_scale

    @staticmethod
    def _requantizer(linear: Linear, scale: Reals, end: int) -> Requantizer:
        return Requantizer.of(linear.scale / scale, input_bound=linear.bounds, end=end)

    def _linear(self, module: str, scale: Reals) -> Linear:
        return Linear.of(self._weight(f"{module}.weight"), self._weight(f"{module}.bias"), scale)

    def _range(self, name: str, width: int = 1) -> Reals:
        """The range of an activation.

        :param width: of its channels, where each may have one of its own.
        """
        ends = self.ranges[name]
        if ends.shape not in ((), (width,)) or (width == 1 and ends.ndim):
            raise ModelError(
                f"the range of the activation {name} has the shape {ends.shape}; expected one number"
                + (f", or one for each of {width} channels" if width > 1 else ""),
                hint="ranges are of a model of the same architecture and depth; quantize it anew",
            )
        return ends

    def _weight(self, weight: str) -> Reals:
        if weight not in self.weights:
            raise ModelError(f"{self.name} has no weight {weight}")
        values = np.asarray(self.weights[weight], dtype=np.float64)
        if not np.isfinite(values).all():
            raise ModelError(f"{self.name}: the weight {weight} has values that are no finite numbers")
        return values

"""An encoder in integers on torch tensors: the definition in :mod:`replank.integer.encoder`, with gradients.

Constants depend on the weights, which change at every step: each forward pass computes them anew.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from transformers.modeling_outputs import BaseModelOutputWithPooling

from replank.integer.build import residual_bits
from replank.integer.families import Family, family_of
from replank.integer.gelu import FINEST_SCALE, INPUT_BITS
from replank.integer.integers import Reals, largest
from replank.integer.layer_norm import OUTPUT_BITS, LayerNorm
from replank.integer.quantizer import quantize, row_scales, scale_of
from replank.integer.requantizer import Requantizer, coarse_enough
from replank.integer.softmax import PROBABILITY_SCALE
from replank.models.encoder import Encoder
from replank.models.encoders import encoder_of
from replank.system.errors import TrainingError
from replank_compress.integer.kernels import clipped, gelu, normalized, requantized, rescaled, softmax
from replank_compress.integer.moving_ranges import MovingRanges
from replank_compress.integer.steps import Steps, as_reals, as_tensor, exact_type, straight_through

_SUM_BITS = 16


class Simulation:
    """The forward pass of an encoder, in integers.

    :param base: ``model.base_model``; its weights are read at each call.
    :param name: of the model, for messages.
    :ivar ranges: they follow what is seen while the encoder is in training mode.
    :raises ModelError: the encoder does not fit the integer kernels.
    """

    def __init__(self, base: Any, name: str) -> None:
        self.base, self.config = base, base.config.to_dict()
        self.family, self.architecture = family_of(self.config, name), encoder_of(self.config, name)
        self.layers = self.architecture.layers(self.config)
        self.projects = hasattr(base, self.family.projection)
        self.ranges = MovingRanges(self.family.points(self.layers, projects=self.projects), base)

    def __call__(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        **_: Any,
    ) -> BaseModelOutputWithPooling:
        """What the encoder gives to the head, which stays in floating point; so does the pooler."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        hidden = self.integers(input_ids, mask, token_type_ids).real
        pooler = getattr(self.base, "pooler", None)
        return BaseModelOutputWithPooling(
            last_hidden_state=hidden, pooler_output=None if pooler is None else pooler(hidden)
        )

    def integers(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor | None = None
    ) -> Steps:
        """The last hidden state, in 8 bits.

        :param attention_mask: 0 for padding, which may be anywhere; like the ids of shape ``(batch, length)``.
        """
        # Half precision cannot hold the integers.
        with torch.autocast(input_ids.device.type, enabled=False):
            return _Pass(self, attention_mask != 0).hidden(input_ids, token_type_ids)


class _Pass:
    """One forward pass.

    :param mask: the tokens that are no padding, shape ``(batch, length)``.
    """

    def __init__(self, simulation: Simulation, mask: torch.Tensor) -> None:
        self._base, self._config, self._mask = simulation.base, simulation.config, mask
        self._family: Family = simulation.family
        self._architecture: Encoder = simulation.architecture
        self._simulation, self._ranges = simulation, simulation.ranges

    def hidden(self, input_ids: torch.Tensor, token_type_ids: torch.Tensor | None) -> Steps:
        """The last hidden state, in 8 bits."""
        hidden = self._embeddings(input_ids, token_type_ids)
        for index in range(self._simulation.layers):
            hidden = self._layer(index, hidden)
        return hidden

    def _embeddings(self, input_ids: torch.Tensor, token_type_ids: torch.Tensor | None) -> Steps:
        family = self._family
        looked_up = {family.words: input_ids, family.positions: self._position_ids(input_ids)}
        if family.token_types:
            looked_up[family.token_types] = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        ends = {module: as_reals(self._base.get_submodule(module).weight.abs().max()) for module in looked_up}
        rows = [self._rows(module, ids, scale_of(ends[module], 8)) for module, ids in looked_up.items()]
        self._see("embeddings.sum", lambda: _sum(each.real for each in rows))
        scale = coarse_enough(scale_of(self._ranges["embeddings.sum"], _SUM_BITS), max(map(float, ends.values())))
        total = clipped(_sum(requantized(each, scale, largest(30)).values for each in rows), largest(_SUM_BITS))
        hidden = self._norm(Steps(total, scale, largest(_SUM_BITS)), family.embedding_norm, "embeddings")
        if not self._simulation.projects:
            return hidden
        return self._projection(hidden, family.projection, "embeddings.projected")

    def _position_ids(self, input_ids: torch.Tensor) -> torch.Tensor:
        if self._architecture.first_position is not None:
            return torch.arange(input_ids.shape[1], device=input_ids.device).expand_as(input_ids)
        padding = int(self._config.get("pad_token_id") or 0)
        is_token = (input_ids != padding).long()
        return is_token.cumsum(dim=1) * is_token + padding

    def _rows(self, module: str, ids: torch.Tensor, scale: Reals) -> Steps:
        """Rows of a table of embeddings, in 8 bits."""
        rows = functional.embedding(ids, self._base.get_submodule(module).weight)
        end, size = largest(8), float(scale)
        exact = rows.detach().double().div_(size).round_().clamp_(-end, end).float()
        return Steps(straight_through(exact, lambda: rows / size), scale, end)

    def _layer(self, index: int, hidden: Steps) -> Steps:
        family, name = self._family, f"layers.{index}"
        context = self._attention(index, hidden)
        dense, norm = family.layer(index, family.attention), family.layer(index, family.attention_norm)
        attended = self._residual(context, hidden, dense, norm, f"{name}.attention")
        sums = self._linear(attended, family.layer(index, family.intermediate))
        self._see(f"{name}.intermediate", lambda: sums.real)
        scale = np.maximum(scale_of(self._ranges[f"{name}.intermediate"], INPUT_BITS), FINEST_SCALE)
        active = gelu(requantized(sums, coarse_enough(scale, sums.largest_real), largest(INPUT_BITS)))
        activated = self._in_8_bits(active, f"{name}.gelu")
        dense, norm = family.layer(index, family.output), family.layer(index, family.output_norm)
        return self._residual(activated, attended, dense, norm, f"{name}.output")

    def _attention(self, index: int, hidden: Steps) -> Steps:
        """The context of each token."""
        family, name = self._family, f"layers.{index}"
        heads = self._architecture.heads(self._config)
        query = self._projection(hidden, family.layer(index, family.query), f"{name}.query")
        key = self._projection(hidden, family.layer(index, family.key), f"{name}.key")
        value = self._projection(hidden, family.layer(index, family.value), f"{name}.value")
        batch, length, width = query.values.shape

        def split(steps: Steps) -> torch.Tensor:
            return steps.values.view(batch, length, heads, -1).transpose(1, 2)

        size = width // heads
        scale = np.asarray(float(query.scale * key.scale) / math.sqrt(size))
        scores = Steps(split(query) @ split(key).transpose(-1, -2), scale, largest(8) ** 2 * size)
        sums = softmax(scores, self._mask[:, None, None, :]) @ split(value)
        # Probabilities of a row add up to little more than 1, whatever the rounding: at most a half for each key.
        bound = largest(8) * (256 + self._architecture.position_limit(self._config))
        merged = sums.transpose(1, 2).reshape(batch, length, width)
        return self._in_8_bits(Steps(merged, value.scale * PROBABILITY_SCALE, bound), f"{name}.context")

    def _residual(self, hidden: Steps, around: Steps, dense: str, norm: str, name: str) -> Steps:
        """A linear layer, with what goes around it and the norm."""
        sums = self._linear(hidden, dense)
        self._see(f"{name}_sum", lambda: sums.real + around.real)
        bits = residual_bits(sums.values.shape[-1])
        scale = scale_of(self._ranges[f"{name}_sum"], bits)
        scale = coarse_enough(scale, max(sums.largest_real, around.largest_real))
        added = requantized(sums, scale, largest(30)).values + requantized(around, scale, largest(30)).values
        return self._norm(Steps(clipped(added, largest(bits)), scale, largest(bits)), norm, name)

    def _norm(self, total: Steps, module: str, name: str) -> Steps:
        """A layer norm, in 8 bits."""
        norm, end = self._base.get_submodule(module), largest(8)
        gamma, beta = as_reals(norm.weight), as_reals(norm.bias)
        real_epsilon, total_scale = float(self._config.get("layer_norm_eps", 1e-12)), float(total.scale)
        found = normalized(total.values, LayerNorm.epsilon_of(real_epsilon, total_scale, gamma.size))
        steps = LayerNorm.steps_of(gamma)
        self._see(name, lambda: Steps(found, steps, 2**OUTPUT_BITS).real + norm.bias)
        scale = coarse_enough(scale_of(self._ranges[name], 8), np.abs(steps) * 2**OUTPUT_BITS + np.abs(beta))
        affine = Requantizer.of(steps / scale, input_bound=2**OUTPUT_BITS, end=end, bias=beta / scale)

        def real() -> torch.Tensor:
            epsilon = real_epsilon / total_scale**2
            normal = functional.layer_norm(total.values, (gamma.size,), norm.weight, norm.bias, epsilon)
            return normal / as_tensor(scale, normal).float()

        return Steps(straight_through(rescaled(found, affine), real), scale, end)

    def _projection(self, hidden: Steps, module: str, name: str) -> Steps:
        """A linear layer with results of 8 bits."""
        return self._in_8_bits(self._linear(hidden, module), name)

    def _in_8_bits(self, steps: Steps, name: str) -> Steps:
        self._see(name, lambda: steps.real)
        return requantized(steps, coarse_enough(scale_of(self._ranges[name], 8), steps.largest_real), largest(8))

    def _linear(self, hidden: Steps, module: str) -> Steps:
        """Sums of products, whose weights take on the scale of each of their inputs."""
        dense, end = self._base.get_submodule(module), largest(8)
        bias = as_reals(dense.bias)
        with torch.no_grad():
            input_scale = as_tensor(hidden.scale, dense.weight)
            scaled = dense.weight.double().mul_(input_scale)
            scale = row_scales(as_reals(scaled.abs().amax(dim=1, keepdim=True)), bias)
            if not np.isfinite(scale).all():
                raise TrainingError(
                    f"the weights of {module} became NaN or infinite", hint="choose a smaller `learning_rate`"
                )
            rows = as_tensor(scale, scaled)
            exact = scaled.div_(rows[:, None]).round_().clamp_(-end, end).float()
            whole_bias = quantize(bias, scale, 31)
            bound = as_reals(exact.abs().sum(dim=1)).astype(np.int64) * end + np.abs(whole_bias)
            kind = exact_type(bound)
            exact_bias = as_tensor(whole_bias, scaled).to(kind)
        weights = straight_through(exact, lambda: dense.weight * (input_scale / rows[:, None]).float())
        biases = straight_through(exact_bias, lambda: dense.bias / rows.float())
        return Steps(functional.linear(hidden.values.to(kind), weights.to(kind), biases), scale, bound)

    def _see(self, name: str, real: Callable[[], torch.Tensor]) -> None:
        """In training, let the range of an activation follow what it is in real numbers.

        :param real: computes it, shape ``(batch, length, channels)``; that of padding is passed over.
        """
        if self._base.training:
            with torch.no_grad():
                self._ranges.see(name, as_reals(real()[self._mask].abs().amax(dim=0)))


def _sum(terms: Iterable[torch.Tensor]) -> torch.Tensor:
    return functools.reduce(torch.add, terms)

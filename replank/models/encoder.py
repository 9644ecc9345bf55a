"""An architecture of encoders: what its configuration, its modules and its fused graph are called and hold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ConfigKeys:
    """The keys of ``config.json`` for facts that architectures name differently; by default transformers' usual ones.

    :param layers: number of Transformer layers.
    :param heads: attention heads per layer.
    :param hidden_size: width of the hidden states.
    :param activation: activation function of the feed-forward layers.
    :param feed_forward: width between the two matrices of a feed-forward layer.
    """

    layers: str = "num_hidden_layers"
    heads: str = "num_attention_heads"
    hidden_size: str = "hidden_size"
    activation: str = "hidden_act"
    feed_forward: str = "intermediate_size"


@dataclass(frozen=True)
class Fused:
    """Operators of ONNX Runtime per layer, each in the place of several of a plain graph's.

    :param attention: attention operators, by name.
    :param norm: the operator of layer norms, each with the addition before it.
    :param norms: layer norms.
    :param gelus: activations with the bias before them, where they are the exact GELU; 0 of gated layers, whose
        activation has no bias.
    """

    attention: Mapping[str, int] = field(default_factory=lambda: {"Attention": 1})
    norm: str = "SkipLayerNormalization"
    norms: int = 2
    gelus: int = 1

    def nodes(self, layers: int, activation: str) -> dict[str, int]:
        """The nodes of a graph of so many layers, at least: embeddings and heads may have further norms and GELUs."""
        per_layer = {**self.attention, self.norm: self.norms, "BiasGelu": self.gelus if activation == "gelu" else 0}
        return {operator: layers * count for operator, count in per_layer.items() if count}


_USUAL_KEYS = ConfigKeys()
_USUAL_FUSED = Fused()


@dataclass(frozen=True)
class Encoder:
    """An architecture of transformers.

    The defaults describe BERT, and everything built like it. Names of modules are as in the weights' names.

    :param model_type: its name in ``config.json``.
    :param stack: path of the stack of layers below ``model.base_model``.
    :param embeddings: name of the module with the embeddings.
    :param words: path of the table of token embeddings below ``model.base_model``.
    :param pooler: name of the pooler's module.
    :param tables: endings of the names of modules whose weights are looked up instead of multiplied with.
    :param token_projections: linear layers outside the stack that are applied to every token.
    :param keys: its keys of ``config.json``.
    :param first_position: the row of the position embedding that the first token has; ``None``: that after the
        padding id.
    :param first_dense: below a layer, the first matrices of its feed-forward part: that of the gate too.
    :param positions: the longest input in tokens where ``config.json`` names none.
    :param mixes_attention: whether layers differ in their kind of attention, each with a mask and rotary angles of its
        own: a layer's ``attention_type``, listed as ``layer_types`` in ``config.json``.
    :param last_dense: below a layer, the matrix whose product and what went around it make the layer's sum.
    :param last_norm: the layer norm of that sum; ``None`` where the sum is the layer's output.
    :param fused: operators per layer that a completely fused graph has.
    :param extra_scores: a key of ``config.json``; if it is set, attention scores have terms of relative positions that
        the count of FLOPs leaves out.
    :param refused_with: a key of ``config.json``; if it is set, the layers are not a plain stack.
    :param autocasts: whether it computes under autocast, in halves of the precision: not where transformers masks its
        attention scores with the least number of another precision than theirs.
    """

    model_type: str
    stack: str = "encoder.layer"
    embeddings: str = "embeddings"
    words: str = "embeddings.word_embeddings"
    pooler: str = "pooler"
    tables: tuple[str, ...] = ("embeddings",)
    token_projections: tuple[str, ...] = ()
    keys: ConfigKeys = _USUAL_KEYS
    first_position: int | None = 0
    first_dense: tuple[str, ...] = ("intermediate.dense",)
    positions: int = 512
    mixes_attention: bool = False
    last_dense: str = "output.dense"
    last_norm: str | None = "output.LayerNorm"
    fused: Fused = _USUAL_FUSED
    extra_scores: str | None = None
    refused_with: str | None = None
    autocasts: bool = True

    def layers(self, config: dict[str, Any]) -> int:
        """The number of Transformer layers."""
        return int(_read(config, _USUAL_KEYS.layers, self.keys.layers))

    def heads(self, config: dict[str, Any]) -> int:
        """The number of attention heads per layer."""
        return int(_read(config, _USUAL_KEYS.heads, self.keys.heads))

    def hidden_size(self, config: dict[str, Any]) -> int:
        """The width of the hidden states."""
        return int(_read(config, _USUAL_KEYS.hidden_size, self.keys.hidden_size))

    def feed_forward(self, config: dict[str, Any]) -> int:
        """The width of the feed-forward layers."""
        return int(config[self.keys.feed_forward])

    def local_layers(self, config: dict[str, Any]) -> int:
        """The number of layers whose tokens see a window of the text alone."""
        if not self.mixes_attention:
            return 0
        # Older files have a rule in place of the list.
        every = int(config.get("global_attn_every_n_layers") or 3)
        kinds = config.get("layer_types") or [
            "sliding_attention" if layer % every else "full_attention" for layer in range(self.layers(config))
        ]
        return list(kinds).count("sliding_attention")

    def activation(self, config: dict[str, Any]) -> str:
        """The activation function, by transformers' name; the exact GELU is ``gelu``, the default of all encoders."""
        return str(config.get(_USUAL_KEYS.activation) or config.get(self.keys.activation) or "gelu")

    def head_width(self, config: dict[str, Any]) -> int:
        """The width of an attention head."""
        return int(config.get("head_dim") or self.hidden_size(config) // self.heads(config))

    def position_limit(self, config: dict[str, Any]) -> int:
        """The longest input in tokens, special tokens included."""
        rows = int(config.get("max_position_embeddings", self.positions))
        padding = config.get("pad_token_id", 1)
        return rows - (int(padding or 0) + 1 if self.first_position is None else self.first_position)

    def has_extra_scores(self, config: dict[str, Any]) -> bool:
        """Whether attention scores have terms that the count of FLOPs leaves out."""
        return self.extra_scores is not None and bool(config.get(self.extra_scores))

    def layer_of(self, weight: str) -> int | None:
        """The index of the layer that a weight belongs to; ``None`` outside the stack."""
        found = re.search(rf"(?:^|\.){re.escape(self.stack)}\.(\d+)\.", weight)
        return int(found[1]) if found else None

    def is_in_stack(self, weight: str) -> bool:
        """Whether a weight belongs to a layer."""
        return _is_below(self.stack, weight)

    def is_in_embeddings(self, weight: str) -> bool:
        """Whether a weight belongs to the embeddings."""
        return _is_below(self.embeddings, weight)

    def is_in_pooler(self, weight: str) -> bool:
        """Whether a weight belongs to the pooler."""
        return _is_below(self.pooler, weight)

    def is_table(self, weight: str) -> bool:
        """Whether rows of a weight are looked up, instead of it being multiplied with."""
        return weight.endswith(tuple(f"{table}.weight" for table in self.tables))

    def is_per_token(self, weight: str) -> bool:
        """Whether a linear layer of the encoder is applied to every token, not only to one per text."""
        return self.is_in_stack(weight) or any(_is_below(module, weight) for module in self.token_projections)


def _read(config: dict[str, Any], usual: str, own: str) -> Any:
    """A value under either key; transformers accepts its usual key from every architecture, and lets it win."""
    return config[usual] if usual in config else config[own]


def _is_below(module: str, weight: str) -> bool:
    return f".{module}." in f".{weight}"

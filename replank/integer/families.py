"""The encoders whose layers fit the integer kernels: where their weights are, and where activations are seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from replank.models.encoders import encoder_of
from replank.system.errors import ModelError

# GELU and its usual approximations, which differ from it by less than the integer GELU does.
_GELUS = (
    "gelu",
    "gelu_python",
    "gelu_new",
    "gelu_fast",
    "gelu_accurate",
    "gelu_pytorch_tanh",
    "gelu_python_tanh",
)


@dataclass(frozen=True)
class Point:
    """A place in a torch model where the range of an activation is seen.

    :param activation: its name, such as ``layers.0.query``.
    :param module: path below ``model.base_model``.
    :param side: whether the activation is the module's input or its output.
    :param per_channel: whether its channels may have ranges of their own: a linear layer reads it, or the head, and
        takes on their scales, and nothing else does, beside additions.
    """

    activation: str
    module: str
    side: Literal["input", "output"]
    per_channel: bool = False


@dataclass(frozen=True)
class Family:
    """Paths of modules in encoders of one kind; the defaults are BERT's.

    :param stack: the layers, below ``model.base_model``; the paths from ``query`` on are below a layer.
    :param token_types: the table of token types; ``None`` where there is none.
    :param attention_norm: the norm after attention; ``output_norm``: the one after the feed-forward layers.
    """

    stack: str = "encoder.layer"
    words: str = "embeddings.word_embeddings"
    positions: str = "embeddings.position_embeddings"
    token_types: str | None = "embeddings.token_type_embeddings"  # noqa: S105 - no password
    embedding_norm: str = "embeddings.LayerNorm"
    projection: str = "embeddings_project"
    query: str = "attention.self.query"
    key: str = "attention.self.key"
    value: str = "attention.self.value"
    attention: str = "attention.output.dense"
    attention_norm: str = "attention.output.LayerNorm"
    intermediate: str = "intermediate.dense"
    output: str = "output.dense"
    output_norm: str = "output.LayerNorm"

    def layer(self, index: int, module: str) -> str:
        """The path of a module of a layer."""
        return f"{self.stack}.{index}.{module}"

    def points(self, layers: int, *, projects: bool) -> Iterator[Point]:
        """Every activation that has a range, in the order of computation.

        :param projects: whether a linear layer stands between the embeddings and the layers, as in small ELECTRAs.
        """
        yield Point("embeddings.sum", self.embedding_norm, "input")
        yield Point("embeddings", self.embedding_norm, "output", per_channel=True)
        if projects:
            yield Point("embeddings.projected", self.projection, "output", per_channel=True)
        for index in range(layers):
            name, layer = f"layers.{index}", partial(self.layer, index)
            yield Point(f"{name}.query", layer(self.query), "output")
            yield Point(f"{name}.key", layer(self.key), "output")
            yield Point(f"{name}.value", layer(self.value), "output")
            yield Point(f"{name}.context", layer(self.attention), "input", per_channel=True)
            yield Point(f"{name}.attention_sum", layer(self.attention_norm), "input")
            yield Point(f"{name}.attention", layer(self.attention_norm), "output", per_channel=True)
            yield Point(f"{name}.intermediate", layer(self.intermediate), "output")
            yield Point(f"{name}.gelu", layer(self.output), "input", per_channel=True)
            yield Point(f"{name}.output_sum", layer(self.output_norm), "input")
            yield Point(f"{name}.output", layer(self.output_norm), "output", per_channel=True)


_BERT = Family()
_DISTILBERT = Family(
    stack="transformer.layer",
    token_types=None,
    query="attention.q_lin",
    key="attention.k_lin",
    value="attention.v_lin",
    attention="attention.out_lin",
    attention_norm="sa_layer_norm",
    intermediate="ffn.lin1",
    output="ffn.lin2",
    output_norm="output_layer_norm",
)
FAMILIES = {
    **dict.fromkeys(("bert", "electra", "roberta", "xlm-roberta", "camembert", "data2vec-text", "ernie"), _BERT),
    "distilbert": _DISTILBERT,
}
# Encoders that replank handles elsewhere, with what stands in the way of integers.
_REFUSED = {
    "mpnet": "its attention scores have a bias of relative positions, which has no range of its own here",
    "deberta": "its attention scores have terms of relative positions",
    "deberta-v2": "its attention scores have terms of relative positions",
    "megatron-bert": "its norms come before attention, so that what goes around them is no norm's output of 8 bits",
    "xlm-roberta-xl": "its norms come before attention, so that what goes around them is no norm's output of 8 bits",
    "roberta-prelayernorm": "its norms come before attention, so that what goes around them is no norm's output "
    "of 8 bits",
}


def family_of(config: dict[str, Any], name: str) -> Family:
    """The paths in a model.

    :param config: its ``config.json``.
    :param name: the model's name, for the message.
    :raises ModelError: its layers do not fit the integer kernels; the message says why.
    """
    encoder = encoder_of(config, name)
    instead = "`scheme=dynamic` and `scheme=static` quantize an exported graph of it"
    if encoder.model_type not in FAMILIES:
        reason = _REFUSED.get(encoder.model_type, "its layers are not known here")
        raise ModelError(
            f"{name} is a model of type {encoder.model_type!r}, which has no form in integers: {reason}",
            hint=f"{instead}; integers are for {', '.join(FAMILIES)}",
        )
    if (activation := encoder.activation(config)) not in _GELUS:
        raise ModelError(
            f"{name} has the activation {activation!r}; in integers there is GELU only ({', '.join(_GELUS)})",
            hint=instead,
        )
    if config.get("use_task_id"):
        raise ModelError(f"{name} adds embeddings of a task's id, which have no form in integers", hint=instead)
    return FAMILIES[encoder.model_type]

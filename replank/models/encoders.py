"""What replank knows about each architecture. A table: no other place asks for a model's type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from replank.system.errors import ModelError


@dataclass(frozen=True)
class Encoder:
    """Facts of one architecture of transformers.

    :param layers: path of the stack of layers below ``model.base_model``.
    :param position_offset: positions that the position embedding reserves, for padding.
    :param refused_with: a setting of ``config.json`` with which the layers are no plain stack.
    """

    layers: str = "encoder.layer"
    position_offset: int = 0
    refused_with: str | None = None


ENCODERS: dict[str, Encoder] = {
    "bert": Encoder(),
    "electra": Encoder(),
    "distilbert": Encoder(layers="transformer.layer"),
    "roberta": Encoder(position_offset=2),
    "xlm-roberta": Encoder(position_offset=2),
    "camembert": Encoder(position_offset=2),
    "mpnet": Encoder(position_offset=2),
    "data2vec-text": Encoder(position_offset=2),
    "xlm-roberta-xl": Encoder(position_offset=2),
    "roberta-prelayernorm": Encoder(position_offset=2),
    "ernie": Encoder(),
    "megatron-bert": Encoder(),
    "deberta": Encoder(),
    # The convolution of its two largest models comes after the first layer, whatever that is.
    "deberta-v2": Encoder(refused_with="conv_kernel_size"),
}
# Encoders that people would look for here, and why they are not.
REFUSED: dict[str, str] = {
    "albert": "its layers are one layer, run many times: there is nothing to replace",
    "modernbert": "what kind of attention a layer has depends on its place, and the first has no norm: a layer cannot "
    "take the place of others",
}


def encoder_of(config: dict[str, Any], name: str) -> Encoder:
    """The facts of the architecture that a ``config.json`` names.

    :param name: the model's name, for the message.
    :raises ModelError: a decoder, an encoder-decoder, or an architecture that is not in the table.
    """
    model_type = config.get("model_type")
    supported = f"replank handles encoders of these types: {', '.join(ENCODERS)}"
    if model_type in REFUSED:
        reason = f"which replank cannot handle: {REFUSED[model_type]}"
        raise ModelError(f"{name} is a model of type {model_type!r}, {reason}", hint=supported)
    if model_type not in ENCODERS:
        raise ModelError(f"{name} is a model of type {model_type!r}", hint=supported)
    if config.get("is_decoder") or config.get("is_encoder_decoder"):
        raise ModelError(f"{name} is configured as a decoder", hint=supported)
    encoder = ENCODERS[model_type]
    if encoder.refused_with and config.get(encoder.refused_with):
        raise ModelError(
            f"{name} has a {encoder.refused_with}, with which its layers are no plain stack",
            hint=f"models of type {model_type!r} without it are handled",
        )
    return encoder


def position_limit(config: dict[str, Any], name: str) -> int:
    """The longest input in tokens, special tokens included."""
    return int(config.get("max_position_embeddings", 512)) - encoder_of(config, name).position_offset

"""What replank knows about each architecture. A table: no other place asks for a model's type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from replank.errors import ModelError


@dataclass(frozen=True)
class Encoder:
    """Facts of one architecture of transformers.

    :param layers: path of the stack of layers below ``model.base_model``.
    :param position_offset: positions that the position embedding reserves, for padding.
    :param embedding_fused: whether ONNX Runtime's optimizer fuses the embeddings into one node.
    """

    layers: str = "encoder.layer"
    position_offset: int = 0
    embedding_fused: bool = True


ENCODERS: dict[str, Encoder] = {
    "bert": Encoder(),
    "electra": Encoder(),
    "distilbert": Encoder(layers="transformer.layer"),
    "roberta": Encoder(position_offset=2, embedding_fused=False),
    "xlm-roberta": Encoder(position_offset=2, embedding_fused=False),
    "camembert": Encoder(position_offset=2, embedding_fused=False),
}


def encoder_of(config: dict[str, Any], name: str) -> Encoder:
    """The facts of the architecture that a ``config.json`` names.

    :param name: the model's name, for the message.
    :raises ModelError: a decoder, an encoder-decoder, or an architecture that is not in the table.
    """
    model_type = config.get("model_type")
    supported = f"replank handles encoders of these types: {', '.join(ENCODERS)}"
    if model_type not in ENCODERS:
        raise ModelError(f"{name} is a model of type {model_type!r}", hint=supported)
    if config.get("is_decoder") or config.get("is_encoder_decoder"):
        raise ModelError(f"{name} is configured as a decoder", hint=supported)
    return ENCODERS[model_type]


def position_limit(config: dict[str, Any], name: str) -> int:
    """The longest input in tokens, special tokens included."""
    return int(config.get("max_position_embeddings", 512)) - encoder_of(config, name).position_offset

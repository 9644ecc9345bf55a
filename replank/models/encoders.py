"""The supported architectures: one row each, and no other place asks for a model's type."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from replank.models.encoder import ConfigKeys, Encoder, Fused
from replank.system.errors import ModelError

# Query and key are rotated, and the feed-forward layer is gated.
_GATED = ("mlp.gate_proj", "mlp.up_proj")
_ROTARY = Fused({"MultiHeadAttention": 1, "RotaryEmbedding": 2}, gelus=0)
_ROWS = (
    Encoder("bert"),
    Encoder("electra", token_projections=("embeddings_project",)),
    Encoder(
        "distilbert",
        stack="transformer.layer",
        keys=ConfigKeys(
            layers="n_layers", heads="n_heads", hidden_size="dim", activation="activation", feed_forward="hidden_dim"
        ),
        first_dense=("ffn.lin1",),
        last_dense="ffn.lin2",
        last_norm="output_layer_norm",
    ),
    Encoder("roberta", first_position=None),
    Encoder("xlm-roberta", first_position=None),
    Encoder("camembert", first_position=None),
    Encoder("mpnet", first_position=2, tables=("embeddings", "relative_attention_bias")),
    Encoder("data2vec-text", first_position=None),
    Encoder("xlm-roberta-xl", first_position=None, last_norm=None),
    Encoder("roberta-prelayernorm", first_position=None, last_norm=None),
    Encoder("ernie"),
    Encoder("megatron-bert", last_norm=None),
    Encoder("deberta", token_projections=("embed_proj",), extra_scores="relative_attention", autocasts=False),
    Encoder(
        "deberta-v2",
        token_projections=("embed_proj",),
        fused=Fused({"MultiHeadAttention": 1}),
        extra_scores="relative_attention",
        # The convolution of its two largest models follows the first layer, whichever that is.
        refused_with="conv_kernel_size",
    ),
    Encoder(
        "modernbert",
        stack="layers",
        words="embeddings.tok_embeddings",
        keys=ConfigKeys(activation="hidden_activation"),
        positions=8192,
        mixes_attention=True,
        first_dense=("mlp.Wi",),
        last_dense="mlp.Wo",
        last_norm=None,
        fused=_ROTARY,
    ),
    Encoder(
        "eurobert",
        stack="layers",
        embeddings="embed_tokens",
        words="embed_tokens",
        tables=("embed_tokens",),
        positions=8192,
        first_dense=_GATED,
        last_dense="mlp.down_proj",
        last_norm=None,
        fused=replace(_ROTARY, norm="SkipSimplifiedLayerNormalization"),
    ),
    Encoder(
        "gte",
        stack="layers",
        positions=8192,
        first_dense=_GATED,
        last_dense="mlp.down_proj",
        last_norm="post_mlp_layernorm",
        fused=_ROTARY,
    ),
    Encoder(
        "nomic_bert",
        stack="layers",
        positions=2048,
        first_dense=_GATED,
        last_dense="mlp.down_proj",
        last_norm="post_mlp_layernorm",
        fused=_ROTARY,
    ),
    Encoder(
        "jina_embeddings_v3",
        stack="layers",
        first_position=None,
        positions=8194,
        first_dense=("mlp.fc1",),
        last_dense="mlp.fc2",
        last_norm="post_mlp_layernorm",
        fused=replace(_ROTARY, gelus=1),
    ),
)
ENCODERS: dict[str, Encoder] = {encoder.model_type: encoder for encoder in _ROWS}
# Models that people would look for here, with the reason why they are refused.
_DECODER = "it is a language model, causal or made of one: replank compresses encoders alone"
_REMOTE = "its code comes with the model instead of with transformers, and replank runs no code of models"
REFUSED: dict[str, str] = {
    "albert": "its layers are one layer, run many times: there is nothing to replace",
    "neobert": _REMOTE,
    "new": f"{_REMOTE}; GTE is handled as transformers' own model, of type 'gte'",
    "qwen2": _DECODER,
    "qwen3": _DECODER,
    "gemma3_text": _DECODER,
    "llama": _DECODER,
    "mistral": _DECODER,
}


def encoder_of(config: dict[str, Any], name: str) -> Encoder:
    """The architecture that a ``config.json`` names.

    :param name: the model's name, for the message.
    :raises ModelError: a decoder, an encoder-decoder, or an architecture that is not in the table.
    """
    model_type = config.get("model_type")
    supported = f"replank handles encoders of these types: {', '.join(ENCODERS)}"
    if model_type in REFUSED:
        reason = f"which replank cannot handle: {REFUSED[model_type]}"
        raise ModelError(f"{name} is a model of type {model_type!r}, {reason}", hint=supported)
    if model_type not in ENCODERS:
        reason = f", and {_REMOTE}" if config.get("auto_map") else ""
        raise ModelError(f"{name} is a model of type {model_type!r}{reason}", hint=supported)
    if config.get("is_decoder") or config.get("is_encoder_decoder"):
        raise ModelError(f"{name} is configured as a decoder", hint=supported)
    encoder = ENCODERS[model_type]
    if encoder.refused_with and config.get(encoder.refused_with):
        raise ModelError(
            f"{name} sets {encoder.refused_with}; only encoders whose layers form a plain stack are supported",
            hint=f"models of type {model_type!r} without it are handled",
        )
    return encoder

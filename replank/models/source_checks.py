"""The checks that the files of a model fit each other: each refuses what does not, and names the setting to change.

All raise :class:`ModelError`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from replank.models.encoder import Encoder
from replank.models.sentence_transformers import lowercases
from replank.models.sizes import Sizes
from replank.models.weights import REFERENCES, REFERENCES_KEY, Weights
from replank.system.errors import ModelError
from replank.text.tokenization import TextEncoder


def require_numbers(folder: Path, config: dict[str, Any], encoder: Encoder) -> None:
    """Refuse a configuration without the few numbers that everything else counts on."""
    try:
        sensible = encoder.layers(config) > 0 and encoder.position_limit(config) > 0
    except (AttributeError, KeyError, TypeError, ValueError):
        sensible = False
    if not sensible:
        raise ModelError(
            f"{folder / 'config.json'} is damaged: no sensible {encoder.keys.layers} or max_position_embeddings",
            hint="copy the model again, or take config.json from where it was published",
        )


def require_attention(name: str, config: dict[str, Any], encoder: Encoder) -> None:
    """Refuse kinds of attention for another number of layers, and a kernel that runs on GPUs alone."""
    kinds = config.get("layer_types")
    if encoder.mixes_attention and kinds is not None and len(kinds) != encoder.layers(config):
        raise ModelError(
            f"{name}: config.json lists layer_types of {len(kinds)} layers and says {encoder.keys.layers} "
            f"{encoder.layers(config)}",
            hint="take layer_types out where every third layer has full attention, the first among them",
        )
    for key in ("attn_implementation", "_attn_implementation"):
        if "flash" in str(config.get(key)):
            raise ModelError(
                f"{name}: config.json says {key} {config[key]!r}, which needs a GPU and a package of its own",
                hint=f"take {key} out: the numbers are the same",
            )


def require_references(folder: Path, config: dict[str, Any], weights: Weights) -> None:
    """Refuse a model without the bank that it was trained with, and a bank that no model was trained with."""
    if config.get(REFERENCES_KEY) and weights.references is None:
        raise ModelError(
            f"{folder} has no {REFERENCES}, whose texts the model attends to beside each text",
            hint="copy the whole folder of the model, from where it was made",
        )
    if weights.references and not config.get(REFERENCES_KEY):
        raise ModelError(
            f"{weights.references} is the reference bank of another model: config.json has no {REFERENCES_KEY}",
            hint=f"take {REFERENCES} out of the folder",
        )


def require_tables(name: str, config: dict[str, Any], sizes: Sizes) -> None:
    """Refuse a configuration that describes other embeddings than the weights have."""
    described = {
        "vocab_size": sizes.vocabulary,
        "max_position_embeddings": sizes.positions,
        "type_vocab_size": sizes.segments,
    }
    for key, rows in described.items():
        if rows is not None and config.get(key, rows) != rows:
            raise ModelError(
                f"{name}: config.json says {key} {config[key]}, the weights have {rows} rows",
                hint="config.json and the weights are not of the same model",
            )


def require_tokenizer(name: str, folder: Path, text_encoder: TextEncoder, config: dict[str, Any], sizes: Sizes) -> None:
    """Refuse a tokenizer that makes ids which the embeddings have no row for, leaves no room for a text, or keeps
    capital letters that the folder says are small.
    """
    around = len(text_encoder.tokenize([""])[0])
    if text_encoder.length_limit is not None and text_encoder.length_limit <= around:
        raise ModelError(
            f"{name}: model_max_length of tokenizer_config.json is {text_encoder.length_limit}; "
            f"expected more than the {around} special tokens of a text"
        )
    rows = sizes.vocabulary or config.get("vocab_size")
    if isinstance(rows, int) and text_encoder.vocabulary_size > rows:
        raise ModelError(
            f"{name}: the tokenizer has token ids up to {text_encoder.vocabulary_size - 1}, "
            f"the embeddings have {rows} rows",
            hint="after tokens are added, model.resize_token_embeddings(len(tokenizer)) makes room; then save both",
        )
    segments = (config.get("type_vocab_size") or 1) if sizes.segments is None else sizes.segments
    if text_encoder.segment_types > segments:
        raise ModelError(
            f"{name}: the tokenizer gives the texts of a pair {text_encoder.segment_types} segment types, "
            f"the model has {segments}",
            hint="take token_type_ids out of model_input_names in tokenizer_config.json",
        )
    if lowercases(folder) and text_encoder.tokenize(["Abc"]) != text_encoder.tokenize(["abc"]):
        raise ModelError(
            f"{name}: do_lower_case is true and its tokenizer keeps capital letters",
            hint="load it with sentence-transformers once and save it, or save a tokenizer that makes them small",
        )

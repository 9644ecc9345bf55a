"""Random models of every architecture, small enough to be compared bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from replank_compress.methods.module_replacing import ModuleReplacement
from replank_compress.successor import initial_layers
from tiny import tiny_settings, write_tokenizer

IDS = torch.tensor([[2, 7, 9, 11, 3], [2, 8, 3, 0, 0]])
INPUTS = {"input_ids": IDS, "attention_mask": (IDS > 0).long()}
# Windows so small that layers of local attention differ from others on such inputs, ids within the vocabulary, and the
# relative positions that DeBERTa-v3 has.
OWN_SETTINGS: dict[str, dict[str, Any]] = {
    "modernbert": {"local_attention": 4}
    | dict.fromkeys(("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), 2),
    "deberta-v2": {
        "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_buckets": 8,
        "share_att_key": True,
        "norm_rel_ebd": "layer_norm",
        "position_biased_input": False,
        "type_vocab_size": 0,
    },
    "eurobert": dict.fromkeys(("bos_token_id", "eos_token_id", "mask_token_id"), 2),
}


def make_model(model_type: str = "bert", **changes: Any) -> Any:
    """A random predecessor whose layers differ enough to be told apart; without dropout."""
    torch.manual_seed(0)
    settings = tiny_settings() | OWN_SETTINGS.get(model_type, {}) | changes
    config = AutoConfig.for_model(model_type, **settings)
    for name, value in config.to_dict().items():
        if "dropout" in name and isinstance(value, float):
            setattr(config, name, 0.0)
    model = AutoModelForSequenceClassification.from_config(config)  # type: ignore[no-untyped-call]
    for parameter in model.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return model.eval()


def make_replacement(model: Any, *sizes: int) -> ModuleReplacement:
    """A predecessor of replaceable modules, its successor's layers the predecessor's first."""
    sizes = sizes or (2, 2)
    return ModuleReplacement(model, initial_layers(model, sizes, "first"), sizes)


def save_model(model_type: str, folder: Path, **changes: Any) -> Path:
    """A random model of two layers, if nothing else is said."""
    make_model(model_type, **{"num_hidden_layers": 2} | changes).save_pretrained(folder)
    write_tokenizer(folder)
    return folder

"""Tiny folders of sentence-transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers

from tiny import tiny_settings, write_tokenizer


def save_embedding_model(folder: Path, pooling: dict[str, Any], *more: str, **settings: Any) -> Path:
    """A tiny folder of sentence-transformers, written file by file, as releases of all ages wrote them.

    :param more: types of modules after pooling.
    :param settings: of ``config_sentence_transformers.json``.
    """
    torch.manual_seed(0)
    model = transformers.BertModel(transformers.BertConfig(**tiny_settings(num_hidden_layers=2)))
    for parameter in model.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    write_tokenizer(folder)
    types = ["Transformer", "Pooling", *more]
    paths = ["", *(f"{index}_{name}" for index, name in enumerate(types) if index)]
    modules = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{name}"}
        for index, (name, path) in enumerate(zip(types, paths, strict=True))
    ]
    write(folder / "modules.json", modules)
    write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": 32} | pooling)
    write(folder / "config_sentence_transformers.json", {"__version__": {}} | settings)
    return folder


def write(path: Path, values: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(values), encoding="utf-8")

"""Plain model folders as people have them: changed by hand, or with a head as transformers saves it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers

from replank.system.json_files import read_json
from replank.tasks.kinds import KINDS, Kind
from tiny import tiny_settings, write_tokenizer


def configure(folder: Path, *without: str, **changes: Any) -> Path:
    """Change and drop entries of ``config.json``."""
    kept = {key: value for key, value in read_json(folder / "config.json").items() if key not in without}
    (folder / "config.json").write_text(json.dumps(kept | changes), encoding="utf-8")
    return folder


def with_head(folder: Path, head: str, outputs: int) -> Path:
    """A model with a head, as transformers saves it."""
    torch.manual_seed(0)
    model_class = getattr(transformers, f"BertFor{head}")
    config = transformers.BertConfig(**tiny_settings(num_hidden_layers=1, num_labels=outputs))
    model_class(config).save_pretrained(folder)
    write_tokenizer(folder)
    return folder


def multi_label_folder(folder: Path, labels: tuple[str, ...]) -> Path:
    """A model of several labels a text, as transformers saves it, whose logits differ from text to text."""
    return _random_classifier(folder, KINDS["multi-label"], labels, spread=0.3)


def inference_folder(folder: Path, labels: tuple[str, ...]) -> Path:
    """A model of natural language inference that judges pairs at random, each pair another way.

    :param labels: in the order of the outputs.
    """
    return _random_classifier(folder, KINDS["classification"], labels, spread=0.2, seed=3)


def number_folder(folder: Path, kind: str) -> Path:
    """A model that gives numbers of this kind, which differ from text to text."""
    return _random_classifier(folder, KINDS[kind], (), spread=0.3)


def _random_classifier(folder: Path, kind: Kind, labels: tuple[str, ...], *, spread: float, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    config = transformers.BertConfig(**tiny_settings(num_hidden_layers=2, **kind.head_settings(labels)))
    model = transformers.BertForSequenceClassification(config)
    for parameter in model.parameters():
        parameter.data += spread * torch.randn_like(parameter)
    model.save_pretrained(folder)
    write_tokenizer(folder)
    return folder

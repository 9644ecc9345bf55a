"""Plain folders of natural language inference models, as transformers saves them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import transformers

from replank.tasks.kinds import KINDS
from tiny import tiny_settings, write_tokenizer


def inference_folder(folder: Path, labels: Sequence[str]) -> Path:
    """A model that judges pairs at random, each pair another way.

    :param labels: in the order of the outputs.
    """
    torch.manual_seed(3)
    names = KINDS["classification"].head_settings(labels)
    config = transformers.BertConfig(**tiny_settings(num_hidden_layers=2, **names))
    model = transformers.BertForSequenceClassification(config)
    for parameter in model.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    write_tokenizer(folder)
    return folder

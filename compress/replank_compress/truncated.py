"""A model cut down to its first layers without any training: its size and speed are those of a trained one."""

from __future__ import annotations

from pathlib import Path

from replank.models.source import Source, open_source
from replank.runtime.torch_model import load_torch_model
from replank.system.quiet import quiet_transformers
from replank.tasks.task import Task
from replank.text.tokenizer_files import save_tokenizer
from replank_compress.layers import assemble, layer_stack


def truncated(source: Source, layers: int, folder: Path, task: Task | None = None) -> Source:
    """Write a plain model of the first layers of another.

    :param source: a torch model.
    :param layers: 1 to the number of its layers.
    :param folder: a new folder, which becomes no artifact: it has no manifest.
    :param task: what a new head is for; ``None`` for a model that has its own.
    """
    if task is None:
        model = load_torch_model(source)
    else:
        model = load_torch_model(source, task.kind, new_head=True, **task.kind.head_settings(task.labels))
    with quiet_transformers():
        assemble(model, list(layer_stack(model))[:layers]).save_pretrained(folder)
    save_tokenizer(source.folder, folder)
    return open_source(folder)

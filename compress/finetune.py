"""The stage `finetune`: an encoder and a task to a predecessor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from transformers import set_seed

from compress.outcome import Run, work_folder, write_artifact
from compress.training import TrainingConfig, train
from replank.artifact import Artifact, require_free
from replank.data import DataConfig
from replank.provenance import Stopwatch
from replank.runtime import load_torch_model
from replank.source import Source, require_kind
from replank.tasks import Task


@dataclass(frozen=True)
class FinetuneConfig(TrainingConfig):
    """How a predecessor is made; the fields are those of :class:`compress.training.TrainingConfig`."""


def finetune(
    source: Source, out: Path, config: FinetuneConfig, data_config: DataConfig, *, force: bool = False
) -> Artifact:
    """Fine-tune an encoder on a task.

    :param source: an encoder, with or without a head; a head of another size gives way to a new one.
    :raises ReplankError: whatever keeps it from being done; ``out`` is then as it was.
    """
    stopwatch = Stopwatch()
    require_kind(source, "torch", "finetune")
    require_free(out, force=force, source=source.folder)
    data = data_config.load()
    set_seed(config.seed)
    model = load_torch_model(source, new_head=True, **_head(data.task))
    run = Run("finetune", source, data, config, stopwatch)
    trained = train(
        model,
        data,
        source.text_encoder(data.task),
        config,
        work=work_folder(out),
        fingerprint=run.fingerprint,
        title="finetune",
    )
    return write_artifact(model, run, trained, out, force=force)


def _head(task: Task) -> dict[str, object]:
    """The configuration of the head that a task needs, as ``from_pretrained`` takes it."""
    if task.kind == "regression":
        return {
            "num_labels": 1,
            "problem_type": "regression",
            "id2label": {0: "value"},
            "label2id": {"value": 0},
        }
    return {
        "num_labels": len(task.labels),
        "problem_type": "single_label_classification",
        "id2label": dict(enumerate(task.labels)),
        "label2id": {label: index for index, label in enumerate(task.labels)},
    }

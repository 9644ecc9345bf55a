"""The stage `finetune`: from an encoder and a task to a predecessor."""

from __future__ import annotations

from pathlib import Path

from transformers import set_seed

from replank.data.config import DataConfig
from replank.models.artifact import Artifact, require_free
from replank.models.provenance import Stopwatch
from replank.models.source import Source, require_kind, require_length
from replank.robustness.augment import augmented
from replank.runtime.torch_model import load_torch_model
from replank.system.errors import UsageError
from replank.system.locks import exclusive
from replank.system.trackers import require_tracker
from replank_compress.saving import Run, work_folder, write_artifact
from replank_compress.training.config import FinetuneConfig
from replank_compress.training.method import Method
from replank_compress.training.train import Training


def finetune(
    source: Source, out: Path, config: FinetuneConfig, data_config: DataConfig, *, force: bool = False
) -> Artifact:
    """Fine-tune an encoder on a task.

    :param source: an encoder, with or without a head; a head of another size is replaced by a new one.
    :raises ReplankError: the predecessor cannot be made; ``out`` is then as it was.
    """
    stopwatch = Stopwatch()
    require_tracker(config.report_to)
    require_kind(source, "torch", "finetune")
    require_free(out, force=force, source=source.folder)
    require_length(source, data_config.max_length)
    data = augmented(data_config.load(), config.augment)
    if data.task.gives_vectors:
        raise UsageError(
            f"finetune trains models that answer labels, and tasks of kind {data.task.kind} are of vectors",
            hint="train with sentence-transformers; replank compress makes its model smaller",
        )
    set_seed(config.seed)
    model = load_torch_model(source, data.task.kind, new_head=True, **data.task.kind.head_settings(data.task.labels))
    run = Run("finetune", source, data, config, stopwatch)
    work = work_folder(out)
    with exclusive(work):
        require_free(out, force=force)  # once more: another run may have ended by now
        training = Training(model, data, source.text_encoder(data.task), config, work=work, title="finetune")
        training.claim(run.fingerprint)
        trained = training.run(Method(model))
        return write_artifact(model, run, trained, out, force=force)

"""The stage `compress`: a predecessor to a successor of fewer layers, by progressive module replacing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from transformers import set_seed

from compress.outcome import Run, require_equal_logits, work_folder, write_artifact
from compress.schedule import LinearSchedule
from compress.theseus import Theseus, require_divisor
from compress.training import BeforeBatch, TrainingConfig, train
from replank.artifact import Artifact, require_free
from replank.data import DataConfig
from replank.evaluate import require_same_task
from replank.provenance import Stopwatch
from replank.runtime import load_torch_model, require_head
from replank.source import Source, require_kind


@dataclass(frozen=True)
class TheseusConfig(TrainingConfig):
    """How a successor is made.

    The learning rate is higher than in fine-tuning, because only a few layers learn and, early on, each only in
    the batches in which it is drawn.

    :param layers: layers of the successor; must divide the predecessor's. ``None`` halves them.
    :param schedule: how the replacing rate grows.
    :param second_phase: what learns once every module is replaced: ``layers`` alone, as in the paper's code, or
        ``all``, embeddings, pooler and head too.
    """

    epochs: float = 5.0
    learning_rate: float = 1e-4
    layers: int | None = None
    schedule: LinearSchedule = field(default_factory=LinearSchedule)
    second_phase: Literal["layers", "all"] = "all"


def compress(
    source: Source, out: Path, config: TheseusConfig, data_config: DataConfig, *, force: bool = False
) -> Artifact:
    """Replace the predecessor's layers.

    :param source: a fine-tuned model.
    :raises ReplankError: whatever keeps it from being done; ``out`` is then as it was.
    """
    stopwatch = Stopwatch()
    require_kind(source, "torch", "compress")
    require_head(source)
    require_free(out, force=force, source=source.folder)
    layers = config.layers or source.layers // 2
    require_divisor(source.layers, layers)
    data = data_config.load(source.task)
    require_same_task(source.name, source.task, data)
    set_seed(config.seed)
    theseus = Theseus(load_torch_model(source), layers)
    # The optimizer takes what can learn when training begins; what is frozen for a while has no gradient then.
    theseus.train_shared(config.second_phase == "all")
    run = Run("compress", source, data, config, stopwatch)
    text_encoder = source.text_encoder(data.task)
    trained = train(
        theseus.model,
        data,
        text_encoder,
        config,
        work=work_folder(out),
        fingerprint=run.fingerprint,
        title="compress",
        before_batch=_draws(theseus, config),
    )
    successor = theseus.extract()
    require_equal_logits(theseus.model.eval(), successor, text_encoder, data)
    return write_artifact(successor, run, trained, out, force=force)


def _draws(theseus: Theseus, config: TheseusConfig) -> BeforeBatch:
    """One draw per module and batch, a pure function of seed and step: the same after a resume, on every rank."""

    def before_batch(step: int, micro_batch: int, total: int) -> bool:
        rate = config.schedule.rate(step, total)
        theseus.train_shared(config.second_phase == "all" and rate >= 1)
        generator = np.random.default_rng([config.seed, step, micro_batch])
        return theseus.draw(rate, generator) > 0

    return before_batch

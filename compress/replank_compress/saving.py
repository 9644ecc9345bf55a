"""From a trained model to an artifact: saved, loaded again from disk, evaluated, sealed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from replank.charts.lines import training_chart
from replank.data.examples import Dataset
from replank.integer.ranges import Ranges, write_ranges
from replank.models.artifact import Artifact, new_artifact, seal
from replank.models.manifest import TRAINING, TRAINING_CHART, Manifest
from replank.models.provenance import MadeBy, Stopwatch, config_json
from replank.models.sentence_transformers import copy_modules
from replank.models.source import Source, open_source
from replank.models.training_facts import Origin, ReferenceFacts, TrainingFacts
from replank.models.weights import REFERENCES_KEY
from replank.references.bank import ReferenceBank, write_bank
from replank.resampling.answers_file import evaluate_into
from replank.runtime.evaluate import choose_thresholds, evaluate
from replank.runtime.load import load_model
from replank.runtime.predictors import TorchPredictor
from replank.system.environment import versions
from replank.system.errors import QualityGateError
from replank.system.extras import require
from replank.system.processes import is_first_process
from replank.system.progress import progress
from replank.system.quiet import quiet_transformers
from replank.tasks.task import Task
from replank.text.tokenization import TextEncoder
from replank.text.tokenizer_files import save_tokenizer
from replank_compress.layers import plain_model
from replank_compress.training.checkpoints import clear
from replank_compress.training.config import TrainingConfig
from replank_compress.training.processes import wait_for_all
from replank_compress.training.train import Trained

_EXTRACTION_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Run:
    """A training run: its stage, source, data and settings.

    :param init_from: the model whose layers it starts from, if that is not ``source``.
    :param scored: what the result is scored on, if that is not ``data``.
    :raises MissingExtraError: matplotlib, which draws the curves when all is done, or the tracker is not installed.
    """

    stage: str
    source: Source
    data: Dataset
    config: TrainingConfig
    stopwatch: Stopwatch
    init_from: Source | None = None
    scored: Dataset | None = None

    def __post_init__(self) -> None:
        # Now, not after hours of training.
        require("matplotlib")

    @property
    def origin(self) -> Origin | None:
        """Name and digest of ``init_from``."""
        return Origin(self.init_from.short_name, self.init_from.digest) if self.init_from else None

    @property
    def fingerprint(self) -> dict[str, Any]:
        """The identity of the run; checkpoints of another are not resumed from."""
        return {
            "stage": self.stage,
            "source": self.source.digest,
            "config": config_json(self.config),
            **({"init_from": asdict(self.origin)} if self.origin else {}),
            "task": self.data.task.to_json(),
            "data": self.data.digests,
            # What computes graphs has no part in a training.
            "versions": {name: version for name, version in versions().items() if not name.startswith("onnx")},
        }


@dataclass(frozen=True)
class IntegerResult:
    """What training with quantization leaves beside the weights.

    :param ranges: of the activations, as they stay.
    :param metrics: of the model in integers, on the held-out split.
    """

    ranges: Ranges
    metrics: dict[str, float]


@dataclass(frozen=True)
class Lessons:
    """What a successor learned from beside labels.

    :param answers: the digest of the predecessor's answers on the training rows.
    :param unexplained: what the fitted start left unexplained, for each group.
    :param unlabelled: the digest of the texts without labels.
    :param references: the bank of texts that it attends to.
    """

    answers: str | None = None
    unexplained: tuple[float, ...] | None = None
    unlabelled: str | None = None
    references: ReferenceFacts | None = None


def work_folder(out: Path) -> Path:
    """The folder of checkpoints until the artifact is complete, beside it."""
    out = out.resolve()
    return out.with_name(f"{out.name}.work")


def write_artifact(
    model: Any,
    run: Run,
    trained: Trained,
    out: Path,
    *,
    force: bool,
    lessons: Lessons | None = None,
    integer: IntegerResult | None = None,
    bank: ReferenceBank | None = None,
) -> Artifact:
    """Save a model, evaluate it as loaded from disk, seal the artifact and delete the checkpoints.

    Of several processes the first does it, and the others wait.

    :param model: a plain ``PreTrainedModel``, or one with its pooling.
    :param bank: the references that it attends to.
    """
    if is_first_process():
        _write(model, run, trained, out, lessons or Lessons(), integer, bank, force=force)
    wait_for_all()
    return Artifact.open(out)


def write_curve(folder: Path, stage: str, task: Task, curve: list[dict[str, Any]], **costs: float | None) -> None:
    """Write a training's curve, and its chart.

    :param curve: see :class:`Trained`.
    :param costs: what else is kept beside it.
    """
    (folder / TRAINING).write_text(json.dumps({"curve": curve, **costs}, indent=1) + "\n", encoding="utf-8")
    chart = training_chart(f"{stage}: {task.name}", curve, task.headline)
    (folder / TRAINING_CHART).write_text(chart, encoding="utf-8")


def _write(
    model: Any,
    run: Run,
    trained: Trained,
    out: Path,
    lessons: Lessons,
    integer: IntegerResult | None,
    bank: ReferenceBank | None,
    *,
    force: bool,
) -> None:
    scored = run.scored or run.data
    held_out = scored.held_out
    task = run.source.task if run.data.task.gives_vectors else run.data.task
    with new_artifact(out, force=force) as folder:
        if bank is not None:
            setattr(model.config, REFERENCES_KEY, bank.digest)
        with quiet_transformers():
            plain_model(model).save_pretrained(folder)
        save_tokenizer(run.source.folder, folder)
        if bank is not None:
            write_bank(folder, bank)
        if integer:
            write_ranges(folder, integer.ranges)
        copy_modules(run.source.folder, folder)
        loaded = load_model(open_source(folder), task=task, device="auto")
        data = choose_thresholds(loaded, scored)
        task = replace(task, metrics=data.task.metrics) if task.gives_vectors else data.task
        with progress(f"evaluate on {held_out}", len(data.split(held_out))) as advance:
            quality = evaluate_into(folder, loaded, data, held_out, progress=advance)
        if other := data.also_held_out:
            quality = replace(quality, mismatched=evaluate(loaded, data, other))
        write_curve(folder, run.stage, run.data.task, trained.curve, seconds=trained.seconds, joules=trained.joules)
        seal(
            folder,
            Manifest(
                kind="torch",
                precision="fp32",
                task=task,
                made_by=MadeBy.now(
                    run.stage,
                    run.config,
                    TrainingFacts(
                        init_from=run.origin,
                        data=run.data.digests,
                        steps=trained.steps,
                        best_dev={run.data.task.headline: trained.best},
                        layer_steps=trained.layer_steps,
                        integer_metrics=integer.metrics if integer else None,
                        **vars(lessons),
                    ),
                    run.stopwatch,
                ),
                parent=run.source.as_parent(),
                quality=quality,
                verification=None,
            ),
        )
    clear(work_folder(out))


def require_equal_logits(mixed: Any, extracted: Any, text_encoder: TextEncoder, data: Dataset) -> None:
    """Make sure that the extracted successor computes what was trained and selected.

    :param mixed: the trained model, in evaluation mode.
    :raises QualityGateError: the logits differ by more than 1e-6.
    """
    examples = data.split("dev").head(8)
    batch = text_encoder.pad(text_encoder.tokenize(examples.first, examples.second))
    ours, theirs = (TorchPredictor(model, "cpu")(batch) for model in (mixed, extracted))
    difference = float(np.abs(ours - theirs).max())
    if not difference <= _EXTRACTION_TOLERANCE:
        raise QualityGateError(f"the extracted successor's logits differ by {difference:.2e} from the trained one's")

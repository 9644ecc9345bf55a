"""The stage `finetune` with quantization: from a fine-tuned model to one that knows that it will be integers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import set_seed

from replank.data.config import DataConfig
from replank.integer.build import build
from replank.integer.families import family_of
from replank.models.artifact import Artifact, require_free
from replank.models.provenance import Stopwatch
from replank.models.source import Source, require_kind
from replank.runtime.evaluate import evaluate, require_same_task
from replank.runtime.model import Model
from replank.runtime.predictors import TorchPredictor
from replank.runtime.torch_model import load_torch_model, require_head
from replank.system.errors import QualityGateError
from replank.system.locks import exclusive
from replank.system.processes import is_first_process
from replank.system.progress import progress
from replank.system.trackers import require_tracker
from replank_compress.chance import tell_of_chance
from replank_compress.integer.config import IntegerFinetuneConfig
from replank_compress.integer.method import IntegerMethod
from replank_compress.saving import IntegerResult, Lessons, Run, work_folder, write_artifact
from replank_compress.teaching import Teaching, unlabelled_texts
from replank_compress.training.train import Training

_COMPARED_ROWS = 8


def finetune_integer(
    source: Source, out: Path, config: IntegerFinetuneConfig, data_config: DataConfig, *, force: bool = False
) -> Artifact:
    """Train a fine-tuned model further, its encoder in integers.

    The artifact is a plain model, with the ranges of its activations in a file beside it: the scheme ``integer`` takes
    them as they are.

    :param source: a fine-tuned model, which also gives the answers to learn.
    :raises ModelError: the encoder does not fit the integer kernels.
    :raises ReplankError: the model cannot be made; ``out`` is then as it was.
    """
    stopwatch = Stopwatch()
    require_tracker(config.report_to)
    require_kind(source, "torch", "finetune")
    require_free(out, force=force, source=source.folder)
    family_of(source.config, source.name)
    # Before the data, whose labels a model without a head does not know.
    require_head(source)
    data = data_config.load(source.task)
    require_head(source, data.task.kind)
    require_same_task(source.name, source.task, data)
    unlabelled = unlabelled_texts(config, data)
    tell_of_chance(source, data)
    set_seed(config.seed)
    model = load_torch_model(source)
    run = Run("finetune", source, data, config, stopwatch)
    text_encoder = source.text_encoder(data.task)
    work = work_folder(out)
    with exclusive(work):
        require_free(out, force=force)  # once more: another run may have ended by now
        training = Training(
            model, data, text_encoder, config, work=work, title="finetune in integers", unlabelled=unlabelled
        )
        teaching = None
        if config.learns_answers:
            teaching = Teaching(training, model, source.digest, config.answers, config.perturbed)
        training.claim(run.fingerprint | (teaching.fingerprint if teaching else {}))
        # Before the encoder computes in integers.
        answers = teaching.answers() if teaching else None
        asks_each_step = teaching is not None and answers is None
        method = IntegerMethod(data.task.kind, model, config, name=source.name, asks_each_step=asks_each_step)
        if teaching is None or answers is None:
            trained = training.run(method)
        else:
            trained = training.run(method, training.taught(answers, teaching.copies))
            passes = len(answers) // len(training.examples)
            trained = replace(trained, layer_steps=trained.layer_steps + passes * training.batches * source.layers)
        lessons = Lessons(
            answers=None if answers is None else answers.digest,
            unlabelled=None if unlabelled is None else unlabelled.digest,
        )
        result = _result(method, run) if is_first_process() else None
        return write_artifact(method.extract(), run, trained, out, force=force, lessons=lessons, integer=result)


def _result(method: IntegerMethod, run: Run) -> IntegerResult:
    """The frozen ranges, and what the trained model answers in integers."""
    model, data, split = method.model.eval(), run.data, run.data.held_out
    device = next(model.parameters()).device.type
    loaded = Model(run.source, data.task, run.source.text_encoder(data.task), TorchPredictor(model, device), device)
    _require_definition(method, loaded, data.split("dev").head(_COMPARED_ROWS).first)
    with progress(f"evaluate in integers on {split}", len(data.split(split))) as advance:
        quality = evaluate(loaded, data, split, progress=advance)
    return IntegerResult(method.ranges, quality.metrics)


def _require_definition(method: IntegerMethod, model: Model, texts: Any) -> None:
    """Make sure that what was trained is what the quantized model will compute, integer for integer.

    :raises QualityGateError: an integer differs.
    """
    base = method.model.base_model
    batch = model.text_encoder.pad(model.text_encoder.tokenize(texts))
    weights = {name: value.cpu().numpy() for name, value in base.state_dict().items()}
    encoder = build(base.config.to_dict(), weights, method.ranges, model.source.name)
    defined = encoder(batch.input_ids, batch.attention_mask, batch.token_type_ids)
    inputs = {name: torch.from_numpy(value).to(base.device) for name, value in batch.inputs().items()}
    with torch.inference_mode():
        simulated = method.simulation.integers(**inputs).values.cpu().numpy()
    if differing := int(np.count_nonzero(defined != simulated)):
        raise QualityGateError(
            f"{differing} of {defined.size} integers of the trained model differ from the definition"
        )

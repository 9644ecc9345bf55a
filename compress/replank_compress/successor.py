"""The stage `compress`: from a predecessor to a successor of fewer layers, by any of the methods."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

from torch import nn
from transformers import set_seed

from replank.data.config import DataConfig
from replank.models.artifact import Artifact, require_free
from replank.models.provenance import Stopwatch
from replank.models.source import Source, open_source, require_kind, require_length
from replank.robustness.augment import augmented
from replank.runtime.evaluate import require_same_task
from replank.runtime.likeness import judged_beside, lacks_labels
from replank.runtime.load import load_model
from replank.runtime.torch_model import load_torch_model, pooled, require_head
from replank.system.errors import FieldError, ModelError, UsageError
from replank.system.locks import exclusive
from replank.system.trackers import require_tracker
from replank_compress.chance import tell_of_chance
from replank_compress.embedding import texts_to_learn
from replank_compress.fitting import StartLayers, fitted_layers
from replank_compress.layers import layer_stack, plain_model
from replank_compress.methods.config import Start, SuccessorConfig
from replank_compress.methods.soft_labels import SoftLabelsConfig
from replank_compress.saving import Lessons, Run, require_equal_logits, work_folder, write_artifact
from replank_compress.teaching import Teaching, unlabelled_texts
from replank_compress.training.train import Training

_log = logging.getLogger(__name__)

# Of the training split, that the fitted start is fitted on: ten for each input of BERT-base's widest matrix.
_FITTED_TOKENS = 32_000


def compress(
    source: Source, out: Path, config: SuccessorConfig, data_config: DataConfig, *, force: bool = False
) -> Artifact:
    """Compress a predecessor into a successor of fewer layers.

    :param source: a fine-tuned model, the predecessor.
    :param config: its type is the method.
    :raises ReplankError: the successor cannot be made; ``out`` is then as it was.
    """
    stopwatch = Stopwatch()
    require_tracker(config.report_to)
    require_kind(source, "torch", "compress")
    require_free(out, force=force, source=source.folder)
    require_length(source, data_config.max_length)
    sizes = config.group_sizes(source.layers)
    learns_answers = isinstance(config, SoftLabelsConfig) and config.soft_weight > 0
    without_labels = ("train", "dev") if learns_answers else ()
    data = augmented(data_config.load(source.task, without_labels=without_labels), config.augment)
    require_head(source, data.task.kind)
    require_same_task(source.name, source.task, data)
    if not data.task.gives_vectors and lacks_labels(data):
        data = judged_beside(data, load_model(source, task=data.task, device="auto"))
    unlabelled = unlabelled_texts(config, data)
    scored = data
    if data.task.gives_vectors:
        data, likeness = texts_to_learn(source, data)
        scored = scored if scored.has_labels else likeness
    config.require_sense(config.steps(len(data.split("train")) + (0 if unlabelled is None else len(unlabelled))))
    tell_of_chance(source, data)
    set_seed(config.seed)
    predecessor = _loaded(source)
    encoder = open_source(config.init_from) if config.init_from else None
    origin = _pretrained(encoder, source) if encoder else predecessor
    _require_fit(origin, predecessor)
    choice = config.init_layers or ("first" if config.init_from else "fitted")
    start = StartLayers(initial_layers(origin, sizes, choice))
    run = Run("compress", source, data, config, stopwatch, encoder, scored)
    text_encoder = source.text_encoder(data.task)
    work = work_folder(out)
    with exclusive(work):
        require_free(out, force=force)  # once more: another run may have ended by now
        training = Training(predecessor, data, text_encoder, config, work=work, title="compress", unlabelled=unlabelled)
        teaching = _teaching(training, predecessor, source.digest, config)
        training.claim(run.fingerprint | (teaching.fingerprint if teaching else {}))
        # Before the method takes the predecessor apart.
        answers = teaching.answers() if teaching else None
        if choice == "fitted":
            start = _fitted(start, predecessor, sizes, training, is_asked=config.init_layers is not None)
        asks_each_step = teaching is not None and answers is None
        method = config.method(
            Start(
                data.task.kind,
                predecessor,
                origin,
                start.layers,
                sizes,
                asks_each_step=asks_each_step,
                training=training,
                digest=source.digest,
            )
        )
        takes_answers = isinstance(config, SoftLabelsConfig) and config.learns_answers
        taught = None
        if teaching is not None and answers is not None:
            taught = training.taught(answers, teaching.copies, with_answers=takes_answers)
        trained = training.run(method, taught)
        successor, bank = method.extract(), method.bank()
        # Passes of the predecessor over the training split.
        asked = (len(answers) // len(training.examples) if answers else 0) + (bank is not None)
        trained = replace(trained, layer_steps=trained.layer_steps + asked * training.batches * source.layers)
        require_equal_logits(method.model.eval(), method.with_references(successor), text_encoder, data)
        lessons = Lessons(
            answers=None if answers is None else answers.digest,
            unexplained=start.unexplained,
            unlabelled=None if unlabelled is None else unlabelled.digest,
            references=None if bank is None else bank.facts,
        )
        return write_artifact(successor, run, trained, out, force=force, lessons=lessons, bank=bank)


def _loaded(source: Source) -> Any:
    """The predecessor as it is trained: an embedding model with its pooling."""
    model = load_torch_model(source)
    return pooled(model, source.task) if source.task.gives_vectors else model


def initial_layers(origin: Any, sizes: Sequence[int], choice: str) -> list[nn.Module]:
    """Copies of the layers that a successor's start as.

    :param choice: ``first``, or the first of each group: ``spread``, and ``fitted`` before it is fitted.
    :raises UsageError: the model has too few layers.
    """
    stack = layer_stack(origin)
    indices = list(range(len(sizes)))
    if choice != "first":
        indices = [end - size for end, size in zip(accumulate(sizes), sizes, strict=True)]
    if indices[-1] >= len(stack):
        raise UsageError(
            f"`init_from` has {len(stack)} layers; `init_layers={choice!r}` needs {indices[-1] + 1} of them or more"
        )
    return [copy.deepcopy(stack[index]) for index in indices]


def _teaching(training: Training, predecessor: Any, digest: str, config: SuccessorConfig) -> Teaching | None:
    soft = config if isinstance(config, SoftLabelsConfig) else None
    # Vectors are targets too: every method learns them.
    if training.data.task.gives_vectors or (soft and soft.learns_answers):
        return Teaching(training, predecessor, digest, soft.answers if soft else None, soft.perturbed if soft else 0.0)
    return None


def _fitted(
    start: StartLayers, predecessor: Any, sizes: Sequence[int], training: Training, *, is_asked: bool
) -> StartLayers:
    """The layers fitted, or as they are where that cannot be and nobody asked for it."""
    try:
        return fitted_layers(predecessor, sizes, training.some_batches(_FITTED_TOKENS), training.autocast)
    except FieldError as error:
        if is_asked:
            raise
        _log.warning(
            "the start is not fitted: that takes %s; each layer starts as the first of its group", error.expected
        )
        return start


def _pretrained(encoder: Source, predecessor: Source) -> Any:
    require_kind(encoder, "torch", "`init_from` of compress")
    task = predecessor.task
    model = load_torch_model(encoder, task.kind, new_head=True, **task.kind.head_settings(task.labels))
    return pooled(model, task) if task.gives_vectors else model


def _require_fit(origin: Any, predecessor: Any) -> None:
    """Refuse a model whose layers do not fit the predecessor's, or whose tokens are others.

    :raises ModelError: it has another architecture, hidden size or vocabulary.
    """
    ours, theirs = (
        [
            *((name, value.shape) for name, value in layer_stack(model)[0].state_dict().items()),
            ("tokens", plain_model(model).get_input_embeddings().weight.shape),
            ("type", type(layer_stack(model)[0])),
        ]
        for model in (origin, predecessor)
    )
    if ours != theirs:
        raise ModelError(
            "`init_from` does not fit the predecessor: another architecture, hidden size or vocabulary",
            hint="name the encoder that the predecessor was fine-tuned from",
        )

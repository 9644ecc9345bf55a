"""A model and examples to metrics: the same for every kind of model."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from replank.data.examples import Dataset
from replank.data.training_examples import LabelledExamples
from replank.models.facts import Quality
from replank.runtime.model import Model
from replank.system.errors import DataError
from replank.tasks.kinds.kind import IGNORED
from replank.tasks.metrics import majority_share, require_labels, score
from replank.tasks.task import Task


def evaluate(model: Model, data: Dataset, split: str, *, progress: Callable[[int], None] | None = None) -> Quality:
    """Quality of a model on one split.

    :param progress: called after each batch with the number of examples in it.
    :raises DataError: the data's labels are not the model's, or the split has none.
    """
    require_same_task(model.source.name, model.task, data)
    examples = data.split(split)
    manifest = model.source.manifest
    measured = partial(
        Quality,
        split=split,
        rows=len(examples),
        data=examples.digest,
        chosen_on_it=manifest.chose_on(examples.digest) if manifest else None,
    )
    if not data.task.is_per_token:
        logits = model.logits(examples.first, examples.second, progress=progress)
        truth = require_labels(examples.labels)
        return measured(
            metrics=score(data.task, data.task.kind.decide(logits), truth),
            majority_share=majority_share(data.task, truth),
        )
    if data.task.kind.has_labels:
        require_labels(examples.labels)
    asked = LabelledExamples(data.task, model.text_encoder, examples)
    rows = [asked[index] for index in range(len(asked))]
    answers = model.token_answers([tokens for tokens, _ in rows], progress=progress)
    targets = [target for _, target in rows]
    predicted = [row[target != IGNORED] for row, target in zip(answers, targets, strict=True)]
    asked_for = [target[target != IGNORED] for target in targets]
    return measured(
        metrics=score(data.task, predicted, asked_for),
        majority_share=majority_share(data.task, asked_for),
        unseen_words=asked.unseen_words if data.task.kind.is_per_word else None,
    )


def require_same_task(name: str, task: Task, data: Dataset) -> None:
    """Refuse data that a model does not answer.

    :param name: the model's, for the message.
    :param task: the model's.
    :raises DataError: one classifies and the other measures, the number of labels differs, or one is of single
        texts and the other of pairs.
    """
    differences = []
    # A head with one output may give a number or a probability: a plain folder does not always tell, the data does.
    if (task.kind.head, task.outputs) != (data.task.kind.head, data.task.outputs):
        differences.append(
            f"{name} answers with {task.kind.describe(task.labels)}; "
            f"the data has {data.task.kind.describe(data.task.labels)}"
        )
    if task.columns and task.is_pair != data.task.is_pair:
        differences.append(f"{name} takes {_texts(task)}; the data has {_texts(data.task)}")
    if differences:
        raise DataError(differences[0], hint="is this the data of the task that the model was made for?")


def _texts(task: Task) -> str:
    return "pairs of texts" if task.is_pair else "single texts"

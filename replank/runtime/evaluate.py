"""A model and examples to decisions, and to metrics: the same for every kind of model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replank.data.examples import Dataset, Examples
from replank.data.training_examples import LabelledExamples
from replank.models.manifest import Manifest
from replank.models.quality import Quality
from replank.runtime.model import Model
from replank.system.errors import DataError
from replank.system.progress import progress
from replank.tasks.groups import Groups
from replank.tasks.kinds.learning import IGNORED
from replank.tasks.metrics import Decisions, majority_share, require_labels, score
from replank.tasks.ranking import baselines
from replank.tasks.retrieval import by_query
from replank.tasks.task import Task
from replank.tasks.thresholds import with_thresholds
from replank.tasks.vectors import unit_vectors

Progress = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class RowAnswers:
    """A model's decision on each row of a split, and the truth.

    :param model: its name, for a reader.
    :param data: digest of the rows.
    :param predicted: as :func:`replank.tasks.metrics.score` takes it; ``truth`` likewise.
    :param unseen_words: the words that the model did not read, and that are therefore in neither; ``None`` where
        answers are not of words.
    :param groups: the rows by query and candidate, where candidates are ranked.
    :param judge: the name of the model whose answers are the truth, where the data has no labels.
    """

    model: str
    task: Task
    split: str
    data: str
    predicted: Decisions
    truth: Decisions
    unseen_words: int | None = None
    groups: Groups | None = None
    judge: str | None = None

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def are_vectors(self) -> bool:
        """Whether they are vectors, beside those of a predecessor; no file keeps them."""
        return not isinstance(self.truth, list) and self.truth.ndim == 2 and self.truth.dtype == np.float32


def evaluate(model: Model, data: Dataset, split: str, *, progress: Progress | None = None) -> Quality:
    """Quality of a model on one split.

    :param progress: called after each batch with the number of examples in it.
    :raises DataError: the data's labels are not the model's, or the split has none.
    """
    return quality_of(answer_rows(model, data, split, progress=progress), model.source.manifest)


def answer_rows(model: Model, data: Dataset, split: str, *, progress: Progress | None = None) -> RowAnswers:
    """The decisions of a model on one split.

    :param progress: called after each batch with the number of examples in it.
    :raises DataError: the data's labels are not the model's, or the split has none.
    """
    require_same_task(model.source.name, model.task, data)
    examples = data.split(split)
    if data.task.kind.has_labels:
        has_likeness = bool(data.task.kind.likeness_metrics)
        beside = "name the `predecessor`, whose answers then stand for labels" if has_likeness else ""
        require_labels(examples.labels, otherwise=beside)
    decide = (
        _decide_on_tokens
        if data.task.is_per_token
        else _decide_by_vectors
        if data.task.gives_vectors
        else _decide_on_texts
    )
    predicted, truth, unseen_words = decide(model, data.task, examples, progress)
    return RowAnswers(
        model=model.source.short_name,
        task=data.task,
        split=split,
        data=examples.digest,
        predicted=predicted,
        truth=truth,
        unseen_words=unseen_words,
        groups=examples.groups,
        judge=examples.judge,
    )


def choose_thresholds(model: Model, data: Dataset) -> Dataset:
    """The data of a multi-label task with the thresholds that suit a model, chosen on dev; any other as it is."""
    if not data.task.kind.is_multi_label:
        return data
    dev = data.split("dev")
    with progress("thresholds on dev", len(dev)) as advance:
        logits = model.logits(dev.first, dev.second, progress=advance)
    return replace(data, task=with_thresholds(data.task, logits, np.asarray(require_labels(dev.labels))))


def quality_of(answers: RowAnswers, manifest: Manifest | None) -> Quality:
    """The metrics of a model's answers.

    :param manifest: the model's, which says what chose it; ``None`` of a plain folder.
    """
    return Quality(
        split=answers.split,
        rows=len(answers),
        data=answers.data,
        chosen_on_it=manifest.chose_on(answers.data) if manifest else None,
        metrics=score(answers.task, answers.predicted, answers.truth, answers.groups),
        majority_share=majority_share(answers.task, answers.truth) if answers.judge is None else None,
        compared_with=answers.judge,
        unseen_words=answers.unseen_words,
        baselines=baselines(answers.groups) if answers.groups is not None else None,
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
    is_other_kind = task.outputs > 1 and task.kind != data.task.kind
    if is_other_kind or (task.kind.head, task.outputs) != (data.task.kind.head, data.task.outputs):
        differences.append(
            f"{name} answers with {task.kind.describe(task.labels)}; "
            f"the data has {data.task.kind.describe(data.task.labels)}"
        )
    if task.columns and task.is_pair != data.task.is_pair:
        differences.append(f"{name} takes {_texts(task)}; the data has {_texts(data.task)}")
    if differences:
        raise DataError(differences[0], hint="is this the data of the task that the model was made for?")


def _decide_on_texts(
    model: Model, task: Task, examples: Examples, progress: Progress | None
) -> tuple[Decisions, Decisions, int | None]:
    """The decisions, the truth, and no unseen words."""
    logits = model.logits(examples.first, examples.second, progress=progress)
    return *_ranked(examples, task.decide(logits)), None


def _decide_by_vectors(
    model: Model, task: Task, examples: Examples, progress: Progress | None
) -> tuple[Decisions, Decisions, int | None]:
    """The cosine of the vectors of each pair or, of single texts, the vectors themselves.

    A query and a passage get the model's prompts for them, if it has such.
    """
    settings = model.task.vector_settings
    names = ("query", "passage", "document") if examples.queries is not None else ()
    prompts = {name: name for name in names if name in settings.prompts}
    first = unit_vectors(model.embed(list(examples.first), prompt_name=prompts.get("query"), progress=progress))
    if examples.second is None:
        return first, require_labels(examples.labels), None
    prompt = prompts.get("passage", prompts.get("document"))
    second = unit_vectors(model.embed(list(examples.second), prompt_name=prompt))
    return *_ranked(examples, np.einsum("ij,ij->i", first, second)), None


def _ranked(examples: Examples, decisions: NDArray[Any]) -> tuple[Decisions, Decisions]:
    """The decisions and the truth, of each query by itself where there are queries."""
    truth = np.asarray(require_labels(examples.labels))
    if examples.queries is None:
        return decisions, truth
    return by_query(decisions, examples.queries), by_query(truth, examples.queries)


def _decide_on_tokens(
    model: Model, task: Task, examples: Examples, progress: Progress | None
) -> tuple[Decisions, Decisions, int | None]:
    """The decisions on the tokens that are asked for, the truth, and the number of unseen words."""
    asked = LabelledExamples(task, model.text_encoder, examples)
    rows = [asked[index] for index in range(len(asked))]
    answers = model.token_answers([tokens for tokens, _ in rows], progress=progress)
    targets = [target for _, target in rows]
    predicted = [row[target != IGNORED] for row, target in zip(answers, targets, strict=True)]
    truth = [target[target != IGNORED] for target in targets]
    return predicted, truth, asked.unseen_words if task.kind.is_per_word else None


def _texts(task: Task) -> str:
    return "pairs of texts" if task.is_pair else "single texts"

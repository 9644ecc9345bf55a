"""Data without labels: what is right is what a reference answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from replank.data.examples import Dataset, Examples
from replank.runtime.model import Model
from replank.system.errors import DataError
from replank.system.progress import progress
from replank.tasks.kinds.kind import LIKENESS_METRICS

# Neighbours are looked for among all of them.
MOST_TEXTS = 1000


def lacks_labels(data: Dataset) -> bool:
    """Whether a model can be scored by another one's answers only: no held-out split has labels.

    :raises DataError: models of this kind are not compared so; or other splits have labels, and dev none to choose by.
    """
    kind, dev = data.task.kind, data.splits.get("dev")
    if not kind.has_labels or (data.has_labels and data.task.gives_vectors):
        return False
    labelled = [name for name, split in data.splits.items() if split.labels is not None]
    if dev is not None and dev.labels is None and labelled and not data.task.gives_vectors:
        raise DataError(
            f"dev has no labels to choose by, and {labelled[0]} has some",
            hint=f"is its label column not {data.task.label_column!r}? Else part of {labelled[0]} can be `dev`",
        )
    if data.has_labels:
        return False
    if not kind.likeness_metrics:
        raise DataError(
            f"there is no dev or test split with labels, by which tasks of kind {kind} are judged",
            hint="give `dev=FILE`; without labels, answers to whole texts and vectors can be compared",
        )
    return True


def judged_beside(data: Dataset, reference: Model) -> Dataset:
    """Data on which a model can be scored.

    :returns: the data as it is, unless it :func:`lacks_labels`; else with the reference's answers as labels: of texts
        the vectors, of dev the decisions, with the kind's metrics of likeness.
    """
    if not lacks_labels(data):
        return data
    if data.task.gives_vectors:
        name = next(name for name in (data.held_out, *data.splits) if name in data.splits)
        texts = data.splits[name].texts()
        chosen = np.sort(np.random.default_rng(0).permutation(len(texts))[:MOST_TEXTS])
        return with_vectors(data, reference, [texts[row] for row in chosen])
    return with_decisions(data, reference)


def with_vectors(data: Dataset, reference: Model, texts: Sequence[str]) -> Dataset:
    """The task of likeness to a reference's vectors, with these texts as the split ``dev``."""
    name = reference.source.short_name
    with progress(f"vectors of {name}", len(texts)) as advance:
        vectors = reference.embed(texts, progress=advance)
    task = replace(data.task, columns=data.task.columns[:1], metrics=LIKENESS_METRICS, query_column=None)
    return Dataset(task, {**data.splits, "dev": Examples(texts, None, vectors, judge=name)})


def with_decisions(data: Dataset, reference: Model) -> Dataset:
    """The task of giving a reference's decisions on the split ``dev``; numbers are compared over all rows.

    :raises DataError: there is no such split, or a logit is NaN or infinite.
    """
    dev, name = data.split("dev"), reference.source.short_name
    with progress(f"answers of {name}", len(dev)) as advance:
        labels = data.task.decide(reference.logits(dev.first, dev.second, progress=advance))
    judged = replace(dev, labels=labels, judge=name)
    task = replace(data.task, metrics=data.task.kind.likeness_metrics, query_column=None)
    return Dataset(task, {**data.splits, "dev": judged})

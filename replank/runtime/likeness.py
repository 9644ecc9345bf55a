"""Data without labels for models that give vectors: what is right is what a reference gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from replank.data.examples import Dataset, Examples
from replank.runtime.model import Model
from replank.system.progress import progress
from replank.tasks.kinds.kind import LIKENESS_METRICS

# Neighbours are looked for among all of them.
MOST_TEXTS = 1000


def judged_by_likeness(data: Dataset, reference: Model) -> Dataset:
    """Data on which a model that gives vectors can be scored.

    :returns: the data as it is, if a held-out split has labels or the task is another; else its texts, with the
        reference's vectors as labels and the metrics of likeness to them.
    """
    if not data.task.gives_vectors or data.has_labels:
        return data
    name = next(name for name in (data.held_out, *data.splits) if name in data.splits)
    texts = data.splits[name].texts()
    chosen = np.sort(np.random.default_rng(0).permutation(len(texts))[:MOST_TEXTS])
    return with_vectors(data, reference, [texts[row] for row in chosen])


def with_vectors(data: Dataset, reference: Model, texts: Sequence[str]) -> Dataset:
    """The task of likeness to a reference's vectors, with these texts as the split ``dev``."""
    with progress(f"vectors of {reference.source.short_name}", len(texts)) as advance:
        vectors = reference.embed(texts, progress=advance)
    task = replace(data.task, columns=data.task.columns[:1], metrics=LIKENESS_METRICS, query_column=None)
    return Dataset(task, {**data.splits, "dev": Examples(texts, None, vectors)})

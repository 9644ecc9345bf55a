"""The shares of the classes in a training split, said where they make accuracy say little."""

from __future__ import annotations

import logging

from replank.data.examples import Dataset

_LARGE_SHARE = 0.9
_LARGE_RATIO = 10
_log = logging.getLogger(__name__)


def tell_of_imbalance(data: Dataset) -> None:
    """Log the shares of the largest and the smallest class, if one has over 90 % or ten times the rows of another.

    Of words, most have no name everywhere; it is said only where accuracy judges.
    """
    task, labels = data.task, data.split("train").labels
    is_judged_by_accuracy = task.headline in ("accuracy", "micro_f1", "subset_accuracy")
    if labels is None or not task.kind.has_label_names or (task.is_per_token and not is_judged_by_accuracy):
        return
    counts = task.kind.label_counts(labels, len(task.labels))
    largest, smallest = int(counts.argmax()), int(counts.argmin())
    if counts[largest] <= _LARGE_SHARE * counts.sum() and counts[largest] <= _LARGE_RATIO * counts[smallest]:
        return
    _log.warning(
        "train is unbalanced: %.1f%% of %d labels are %r, %.1f%% are %r%s",
        100 * counts[largest] / counts.sum(),
        counts.sum(),
        task.labels[largest],
        100 * counts[smallest] / counts.sum(),
        task.labels[smallest],
        f"; {task.headline} hardly counts the small classes: `metric=macro_f1` counts all alike"
        if is_judged_by_accuracy
        else "",
    )

"""Whether a predecessor knows more than chance, asked before a training that would keep what it knows."""

from __future__ import annotations

import logging
import math

from replank.data.examples import Dataset
from replank.models.source import Source
from replank.runtime.evaluate import answer_rows
from replank.runtime.load import load_model
from replank.system.processes import is_first_process
from replank.system.progress import progress
from replank.tasks.metrics import chance_correlation

_log = logging.getLogger(__name__)

_ROWS = 1000
# Standard deviations, one-sided, that 95 % of what chance gives stay below.
_DEVIATIONS = 1.64


def tell_of_chance(source: Source, data: Dataset) -> None:
    """Warn of a predecessor whose answers on dev have nothing to do with the labels: there is nothing to keep of it.

    The measure is :func:`chance_correlation`, whose standard deviation over n rows is 1 / sqrt(n), or less where
    several labels may hold.
    """
    task = data.task
    if not is_first_process() or task.gives_vectors or not task.kind.has_labels or task.kind.is_over_vocabulary:
        return
    if data.split("dev").judge is not None:
        return  # its answers are the labels
    dev = Dataset(task, {"dev": data.split("dev").head(_ROWS)})
    rows = len(dev.split("dev"))
    with progress("evaluate the predecessor", rows) as advance:
        answers = answer_rows(load_model(source, task=task, device="auto"), dev, "dev", progress=advance)
    correlation = chance_correlation(task, answers.predicted, answers.truth)
    if correlation * math.sqrt(rows) <= _DEVIATIONS:
        _log.warning(
            "the predecessor is no better than chance on %d rows of dev: its answers have a correlation of %.2f with "
            "the labels; there is nothing to keep of it",
            rows,
            correlation,
        )

"""The examples of relation prediction: mined before, or now, from the folder of a graph."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from replank.data.examples import Dataset, Examples
from replank.graphs.config import MiningConfig
from replank.graphs.mined_folder import is_mined_folder, read_mined
from replank.graphs.mining import MinedSplit, is_graph_folder, mine
from replank.system.errors import DataError, FieldError
from replank.tasks.kinds import KINDS
from replank.tasks.reasoning import Reasoning
from replank.tasks.task import Task

_COLUMNS = ("question", "context")
_log = logging.getLogger(__name__)


def load_relations(
    folder: Path,
    model: Task | None,
    *,
    name: str | None = None,
    metric: str | None = None,
    max_length: int | None = None,
) -> Dataset:
    """The examples in a folder.

    :param folder: of mined examples; or of a graph, which is mined with the default settings.
    :param model: the task of an existing model: its name, metrics and length hold where nothing else is asked for.
    :param name: of the task; the folder's by default.
    :param metric: the headline.
    :raises DataError: the folder holds neither, or examples of another form than the model was taught.
    """
    model = model if model is not None and model.kind == KINDS["relation-prediction"] else None
    if is_mined_folder(folder):
        mined = read_mined(folder)
    elif is_graph_folder(folder):
        _log.info("%s is mined with the default settings; replank mine has others, and keeps what it finds", folder)
        mined = mine(folder, MiningConfig())
    else:
        raise DataError(
            f"{folder} holds no graph: it has neither train.txt nor mined examples",
            hint="expected train.txt with head<TAB>relation<TAB>tail on each line, valid.txt and test.txt",
        )
    kind = KINDS["relation-prediction"]
    known = model.metrics if model else kind.default_metrics(())
    if metric is not None and metric not in known:
        raise FieldError("metric", metric, f"one of {', '.join(known)}, for {kind.describe(())}")
    task = Task(
        name=name or (model.name if model else folder.resolve().name),
        kind=kind,
        labels=(),
        columns=_COLUMNS[:1] if mined.reasoning.context == "none" else _COLUMNS,
        label_column="label",
        metrics=known if metric is None else (metric, *(other for other in known if other != metric)),
        max_length=max_length or (model.max_length if model else 128),
        reasoning=_common_form(model, mined.reasoning),
    )
    return Dataset(task, {split: _examples(task, rows) for split, rows in mined.splits.items()})


def _common_form(model: Task | None, mined: Reasoning) -> Reasoning:
    """The form that a model was taught; that of the examples where it was not taught any.

    :raises DataError: the examples have another.
    """
    taught = model.reasoning if model else None
    if taught is None:
        return mined
    if taught.context != mined.context:
        raise DataError(
            f"the examples have contexts of the form {mined.context!r}; the model was taught {taught.context!r}",
            hint=f"mine the graph in the model's form: `context={taught.context}`",
        )
    return taught


def _examples(task: Task, split: MinedSplit) -> Examples:
    second = split.contexts if task.is_pair else None
    return Examples(split.questions, second, np.array(split.labels, dtype=np.int64), split.groups)

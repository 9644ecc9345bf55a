"""The settings of data: where examples lie, which columns and labels they have, and what task they are of."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass

from replank.system.errors import FieldError, UsageError
from replank.system.settings import setting
from replank.tasks.glue import glue_task
from replank.tasks.kinds import KIND_NAMES, Kind, kind_named
from replank.tasks.metrics import METRIC_NAMES
from replank.text.spelling import without_invisible

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DataSettings:
    """The source of examples, and the task that they are of.

    :param dataset: a GLUE name, from the hub unless files are given; or any name for the user's own data.
    :param data: a folder with ``train``, ``dev`` and perhaps ``test`` as .tsv, .csv, .jsonl or .parquet; of MNLI also
        ``dev_mismatched``, ``test_mismatched`` and the diagnostics ``ax``. ``validation`` is read as ``dev``. Of
        relation prediction the folder of a graph, or of mined examples.
    :param train: file of the training split; ``dev`` and ``test`` likewise.
    :param text: the text column, or the first of a pair.
    :param text_pair: the second text column of a pair.
    :param label: the label column; ``None`` means ``label``; of words also ``tags`` and ``ner_tags``, of several labels
        a text ``labels``. Several columns, with commas between, hold 0 or 1 for a label each.
    :param label_separator: the characters between labels, where one value holds all labels of a text.
    :param labels: the names of all classes, in the order of the model's outputs; a file may hold the names, or their
        numbers from 0. ``None`` leaves them to the model, to the data set, to what the package datasets wrote into a
        Parquet file, or to the training split.
    :param drop_unlabelled: leave out rows without a label, which are refused otherwise.
    :param metric: the headline: it chooses checkpoints, and INT8 must keep it.
    :param task: the kind of task by any of its names (:data:`replank.tasks.kinds.KIND_NAMES`); ``None`` leaves it to
        the model or the data set, else it is classification. The name of a data set is taken as ``dataset``.
    :param max_length: tokens to truncate to; ``None`` leaves it to the task (128 unless GLUE says otherwise).
    :raises UsageError: settings that exclude each other, or none.
    """

    dataset: str | None = setting(None, "A GLUE data set by name (from the hub, or from `data`), or a name for yours.")
    data: str | os.PathLike[str] | None = setting(
        None, "Folder with train/dev/test as .tsv, .csv, .jsonl or .parquet; or a knowledge graph."
    )
    train: str | os.PathLike[str] | None = setting(None, "File of the training split (.tsv, .csv, .jsonl, .parquet).")
    dev: str | os.PathLike[str] | None = setting(None, "File of the dev (validation) split.")
    test: str | os.PathLike[str] | None = setting(None, "File of the held-out split.")
    text: str | None = setting(None, "Column of the text, or of the first text of a pair.")
    text_pair: str | None = setting(None, "Column of the second text of a pair.")
    label: str | None = setting(
        None, "Column of the label; a,b,c: of 0 and 1 for each of several labels. [default: label]"
    )
    label_separator: str | None = setting(None, "Characters between the labels of a text where one value holds all.")
    labels: tuple[str, ...] | None = setting(
        None,
        "Names of all classes in the order of their numbers: a,b,c or @FILE with one a line. "
        "[default: the model's, the data set's, those of the training split]",
        has_commas=True,
    )
    drop_unlabelled: bool = setting(False, "Leave out rows without a label instead of refusing them.")
    metric: str | None = setting(
        None,
        "Metric that chooses checkpoints, and that INT8 must keep. [default: the model's, the data set's, the task's]",
        choices=METRIC_NAMES,
    )
    task: str | None = setting(
        None, "Kind of task, by transformers' name or ours. [default: the model's, the data set's, classification]"
    )
    max_length: int | None = setting(None, "Tokens to truncate to. [default: the model's, or 128]")

    def __post_init__(self) -> None:
        if self.task is not None and self.task not in KIND_NAMES and self.dataset is None:
            _log.info("`task=%s` names a data set: say `dataset=%s`", self.task, self.task)
            object.__setattr__(self, "dataset", self.task)
            object.__setattr__(self, "task", None)
        files = [self.train, self.dev, self.test]
        if self.data is not None and any(files):
            raise UsageError("`data`, a folder, and single files (`train`, `dev`, `test`) exclude each other")
        if self.dataset is None and self.data is None and not any(files):
            raise UsageError(
                "no data given", hint="`dataset=NAME` (GLUE), `data=FOLDER`, or `train=FILE` and `dev=FILE`"
            )
        if self.dataset is not None and self.data is None and not any(files):
            glue_task(self.dataset)
        if self.text_pair is not None and self.text is None:
            raise UsageError("`text_pair` needs `text` as well")
        self._require_values()

    def _require_values(self) -> None:
        """Refuse values that can be none, each for itself."""
        if self.max_length is not None and self.max_length < 4:
            raise FieldError("max_length", self.max_length, "4 or more")
        if self.task is not None:
            kind_named(self.task)
        if self.label_separator == "":
            raise FieldError("label_separator", "''", "the characters between labels, such as a comma")
        if self.metric is not None and self.metric not in METRIC_NAMES:
            raise FieldError("metric", self.metric, f"one of {', '.join(METRIC_NAMES)}")
        if self.labels is not None:
            object.__setattr__(self, "labels", tuple(self.labels))
            _require_names(self.labels)

    @property
    def kind(self) -> Kind | None:
        """The kind of task that is asked for, if one is."""
        return None if self.task is None else kind_named(self.task)


def _require_names(labels: tuple[str, ...]) -> None:
    """Refuse names that are not the names of several classes.

    :raises FieldError: there is only one, one is empty, or two cannot be told apart.
    """
    if len(labels) < 2 or not all(map(without_invisible, labels)):
        raise FieldError("labels", labels, "the names of two classes or more", hint="for example: `labels=no,yes`")
    if len({without_invisible(name) for name in labels}) < len(labels):
        raise FieldError("labels", labels, "names that differ")

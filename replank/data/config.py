"""The source of examples: the hub's GLUE, a folder of splits, or single files; its settings, and how they are read."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from replank.data.examples import OTHER_NAMES, SPLITS, Dataset, Examples
from replank.data.glue import load_glue
from replank.data.label_lists import column_names, with_lists
from replank.data.label_names import label_names
from replank.data.labels import (
    Numbering,
    label_cells,
    only_labelled,
    outputs_of_names,
    parse_labels,
    word_cells,
)
from replank.data.passages import PASSAGE, QUERY, QUERY_COLUMNS, query_numbers, with_passages_in_rows
from replank.data.relations import load_relations
from replank.data.tables import SUFFIXES, Table, read_table
from replank.graphs.mined_folder import is_mined_folder
from replank.system.errors import DataError, FieldError, UsageError
from replank.system.settings import setting
from replank.tasks.glue import GLUE, GlueTask, glue_task
from replank.tasks.kinds import KIND_NAMES, KINDS, Kind, kind_named
from replank.tasks.kinds.cells import Cell, shown_names
from replank.tasks.metrics import METRIC_NAMES
from replank.tasks.retrieval import PASSAGE_METRICS
from replank.tasks.task import Task
from replank.text.spelling import without_invisible
from replank.text.words import join_words

_TEXT_GUESSES = ((QUERY, PASSAGE), ("sentence1", "sentence2"), ("sentence",), ("text",), ("tokens",), ("words",))
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DataConfig:
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

    def load(self, model: Task | None = None, *, learns_without_labels: bool = False) -> Dataset:
        """Read everything.

        :param model: the task of an existing model: its labels hold, and its name, columns, kind, metrics and length do
            where this configuration says nothing. Without one, labels are those of ``labels``, else the data set's,
            else the training split's.
        :param learns_without_labels: the training split may have no labels.
        :raises DataError: a file cannot be read, a column is missing, or a label is unknown.
        :raises HubError: the data set must come from the hub, which cannot be reached.
        """
        if model and not self._asks(model):
            model = None  # a pretrained encoder: what it was pretrained on is not what these labels ask
        if self.kind == KINDS["relation-prediction"] or (self.data is not None and is_mined_folder(Path(self.data))):
            return self._load_relations(model)
        if self.data is None and not (self.train or self.dev or self.test):
            return _assemble(self, load_glue(str(self.dataset)), model)
        may_lack = ("train",) if learns_without_labels else ()
        tables = {split: with_passages_in_rows(read_table(path)) for split, path in self._files().items()}
        return _assemble(self, tables, model, may_lack)

    def _asks(self, model: Task) -> bool:
        """Whether the data may be of what a model answers: of any task, or of what it was pretrained on."""
        if model.gives_vectors:
            return self.kind is None or self.kind.route == model.kind.route
        return model.kind.has_labels or self.kind == model.kind

    def _load_relations(self, model: Task | None) -> Dataset:
        if self.data is None:
            raise UsageError(
                "relation prediction needs a graph", hint="`data` is a folder with train.txt, or of mined examples"
            )
        of_tables = ("text", "text_pair", "label", "labels", "drop_unlabelled")
        if given := next((name for name in of_tables if getattr(self, name)), None):
            raise UsageError(f"`{given}` is a setting of tables, and `data` is a graph", hint="leave it out")
        folder = Path(self.data)
        return load_relations(folder, model, name=self.dataset, metric=self.metric, max_length=self.max_length)

    def _files(self) -> dict[str, Path]:
        if self.data is None:
            given = {"train": self.train, "dev": self.dev, "test": self.test}
            return {split: Path(path) for split, path in given.items() if path is not None}
        folder = Path(self.data)
        if not folder.is_dir():
            raise DataError(f"there is no folder {folder}")
        found: dict[str, Path] = {}
        for path in (folder / f"{name}{suffix}" for name in (*SPLITS, *OTHER_NAMES) for suffix in SUFFIXES):
            split = OTHER_NAMES.get(path.stem, path.stem)
            if path.is_file() and split in found:
                raise DataError(f"{folder} holds both {found[split].name} and {path.name}; which is it?")
            if path.is_file():
                found[split] = path
        if not found:
            raise DataError(
                f"{folder} holds no train, dev or test file",
                hint=f"expected names such as train.tsv; the suffix is one of {', '.join(SUFFIXES)}",
            )
        return found


def _assemble(
    config: DataConfig, tables: dict[str, Table], model: Task | None, may_lack: tuple[str, ...] = ()
) -> Dataset:
    """The data set.

    :param may_lack: splits that may have no labels, beside those of any test.
    """
    glue = GLUE.get(config.dataset or "")
    if model and glue and not model.gives_vectors and (model.kind, len(model.labels)) != (glue.kind, len(glue.labels)):
        model = None  # of another task than the one named: whoever compares the two will say so
    first = next(iter(tables.values()))
    several = config.label_separator is not None or (config.label and column_names(config.label, first))
    kind = _kind(config, KINDS["multi-label" if several else "classification"], glue, model)
    scored = _scored_table(kind, tables)
    label_column = config.label or (
        model.label_column if model and not model.gives_vectors else _label_column(kind, scored)
    )
    known = {*(config.labels or ()), *(model.labels if model else ()), *(glue.labels if glue else ())}
    separator = config.label_separator or (model.label_separator if model else None)
    columns = column_names(label_column, first) if kind.is_multi_label else None
    if several and not kind.is_multi_label:
        raise UsageError(f"tasks of kind {kind} have one label a text", hint="`task=multi-label` takes several")
    if kind.is_multi_label:
        tables = {name: with_lists(table, label_column, separator, frozenset(known)) for name, table in tables.items()}
    cells: dict[str, list[Cell] | None] = {}
    for split, column in label_cells(tables, label_column, kind, known, may_lack).items():
        cells[split] = None
        if column is not None:
            tables[split], cells[split] = only_labelled(
                tables[split], column, label_column, drop=config.drop_unlabelled, is_named=kind.has_label_names
            )
    labels = _labels(config, kind, tables, cells, label_column, columns, glue, model)
    if columns and set(columns) != set(labels):
        raise DataError(f"the label columns are {shown_names(columns)}; the labels are {shown_names(labels)}")
    task = _task(config, kind, scored, labels, label_column, glue, model)
    used = (*task.columns, *(columns or [label_column]))
    if kind.has_labels and len(set(used)) < len(used):
        raise UsageError(f"one column is used twice: {', '.join(used)}")
    numbering = _numbering(config, task)
    return Dataset(task, {split: _examples(task, table, cells[split], numbering) for split, table in tables.items()})


def _kind(config: DataConfig, usual: Kind, glue: GlueTask | None, model: Task | None) -> Kind:
    """The kind that is asked for; else the model's, the data set's, or the usual one.

    Whatever way a model makes its vectors in, data scores them as those of whole texts.
    """
    if model and model.gives_vectors:
        return KINDS["sentence-embedding"]
    return config.kind or (model.kind if model else glue.kind if glue else usual)


def _scored_table(kind: Kind, tables: dict[str, Table]) -> Table:
    """The table whose columns are the task's: the first, unless training needs no labels, and scores alone do."""
    splits = ("test", "dev") if kind.labels_are_optional else ()
    return next((tables[split] for split in splits if split in tables), next(iter(tables.values())))


def unlabelled_examples(task: Task, path: str | os.PathLike[str]) -> Examples:
    """The texts of a file without labels, for a task.

    :raises DataError: the file cannot be read, has no such columns, or no row.
    """
    examples = _examples(task, read_table(Path(path)), None, None)
    if not len(examples):
        raise DataError(f"{path} holds no texts")
    return examples


def _require_names(labels: tuple[str, ...]) -> None:
    """Refuse names that are not the names of several classes.

    :raises FieldError: there is only one, one is empty, or two cannot be told apart.
    """
    if len(labels) < 2 or not all(map(without_invisible, labels)):
        raise FieldError("labels", labels, "the names of two classes or more", hint="for example: `labels=no,yes`")
    if len({without_invisible(name) for name in labels}) < len(labels):
        raise FieldError("labels", labels, "names that differ")


def _labels(
    config: DataConfig,
    kind: Kind,
    tables: dict[str, Table],
    cells: dict[str, list[Cell] | None],
    label_column: str,
    columns: tuple[str, ...] | None,
    glue: GlueTask | None,
    model: Task | None,
) -> tuple[str, ...]:
    """The model's classes; else those of the settings, of GLUE, of the label columns, or of the training split."""
    if not kind.has_label_names:
        if config.labels:
            raise UsageError(f"`labels` names classes, and tasks of kind {kind} have none")
        return ()
    if model and model.kind == kind and model.labels:
        return model.labels
    if glue and glue.labels and not config.labels:
        return glue.labels
    return label_names(kind, cells.get("train"), tables.get("train"), label_column, config.labels or columns)


def _numbering(config: DataConfig, task: Task) -> Numbering | None:
    """The names that a file's numbers may stand for: those that were given, or GLUE's.

    :raises UsageError: those that were given are not the model's.
    """
    if not task.kind.has_label_names:
        return None
    if config.labels is not None:
        numbering = Numbering("`labels`", config.labels)
        if outputs_of_names(task.labels, numbering) is None:
            raise FieldError("labels", config.labels, f"the model's labels: {shown_names(task.labels)}")
        return numbering
    return Numbering(task.name, GLUE[task.name].labels) if task.name in GLUE else None


def _examples(task: Task, table: Table, cells: list[Cell] | None, numbering: Numbering | None) -> Examples:
    columns = task.columns
    if task.kind.labels_are_optional and not set(columns) <= set(table.columns):
        columns = _guessed_columns(task.kind, table)  # texts to learn from need not be those that are scored
    if task.kind.is_per_word:
        texts = [[join_words(words) for words in word_cells(table, columns[0])]]
    else:
        texts = [table.texts(column) for column in columns]
    declared = table.class_names.get(task.label_column)
    if numbering is None and declared:
        numbering = Numbering(str(table.path), declared)
    labels = None if cells is None else parse_labels(task, table, cells, texts[0], numbering)
    has_queries = task.query_column is not None and labels is not None
    queries = query_numbers(table, str(task.query_column)) if has_queries else None
    return Examples(texts[0], texts[1] if len(columns) == 2 else None, labels, queries=queries)


def _task(
    config: DataConfig,
    kind: Kind,
    table: Table,
    labels: tuple[str, ...],
    label_column: str,
    glue: GlueTask | None,
    model: Task | None,
) -> Task:
    """Settings first, then the model, then GLUE, then what the data itself tells."""
    known_tasks = [known for known in (glue, model) if known]
    known_length = model.max_length if model else glue.max_length if glue else 128
    columns = _text_columns(config, kind, table, glue, model)
    query = _query_column(kind, table, columns)
    defaults = kind.default_metrics(labels) if query is None else tuple(PASSAGE_METRICS)
    metrics = next((known.metrics for known in known_tasks if known.kind == kind and known.metrics), defaults)
    if (metrics[0] in PASSAGE_METRICS) != (query is not None):
        metrics = defaults
    return Task(
        name=config.dataset or (model.name if model else "custom"),
        kind=kind,
        labels=labels,
        columns=columns,
        label_column=label_column,
        metrics=_with_headline(config.metric, metrics, kind, labels),
        max_length=config.max_length or known_length,
        label_separator=config.label_separator or (model.label_separator if model else None),
        thresholds=model.thresholds if model and model.kind == kind else None,
        query_column=query,
    )


def _query_column(kind: Kind, table: Table, columns: tuple[str, ...]) -> str | None:
    """The column by which passages are ranked, if they are: a query's id or, of rerankers, its text.

    :raises DataError: a reranker's rows have a single text.
    """
    if not kind.is_ranked and not kind.compares_pairs:
        return None
    if kind.is_ranked and len(columns) < 2:
        raise DataError(
            f"tasks of kind {kind} are of a query and a passage; {table.path} has the text column {columns[0]!r} only",
            hint="name both columns with `text` and `text_pair`",
        )
    named = next((name for name in QUERY_COLUMNS if name in table.columns), None)
    is_text = kind.is_ranked or columns == (QUERY, PASSAGE)
    return (named or (columns[0] if is_text else None)) if len(columns) == 2 else None


def _with_headline(
    metric: str | None, metrics: tuple[str, ...], kind: Kind, labels: tuple[str, ...]
) -> tuple[str, ...]:
    """The metrics with the one that was asked for in front.

    :raises FieldError: it says nothing about such a task.
    """
    if metric is None:
        return metrics
    possible = dict.fromkeys((*metrics, *kind.possible_metrics(labels)))
    if metric not in possible:
        raise FieldError("metric", metric, f"one of {', '.join(possible)}, for {kind.describe(labels)}")
    return (metric, *(name for name in metrics if name != metric))


def _label_column(kind: Kind, table: Table) -> str:
    return next((name for name in kind.label_columns if name in table.columns), kind.label_columns[-1])


def _text_columns(
    config: DataConfig, kind: Kind, table: Table, glue: GlueTask | None, model: Task | None
) -> tuple[str, ...]:
    if not (kind.takes_pairs or kind.compares_pairs) and config.text_pair is not None:
        raise UsageError(f"tasks of kind {kind} take single texts, not pairs")
    if config.text is not None and (not kind.labels_are_optional or config.text in table.columns):
        return (config.text, config.text_pair) if config.text_pair is not None else (config.text,)
    guesses = [model.columns] if model and model.columns else []
    guesses += [glue.hub_columns] if glue else []
    return _guessed_columns(kind, table, guesses)


def _guessed_columns(kind: Kind, table: Table, guesses: Sequence[tuple[str, ...]] = ()) -> tuple[str, ...]:
    """The text columns by the names that they may have, the likeliest first.

    :raises DataError: there are none of such names.
    """
    may_be_pair = kind.takes_pairs or kind.compares_pairs
    for guess in (*guesses, *_TEXT_GUESSES):
        if all(column in table.columns for column in guess) and (may_be_pair or len(guess) == 1):
            return guess
    raise DataError(
        f"cannot tell the text column of {table.path}; its columns are {', '.join(map(repr, table.columns))}",
        hint="name it with `text=COLUMN` (and `text_pair=COLUMN` for pairs)",
    )

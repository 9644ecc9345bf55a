"""The source of examples: the hub's GLUE, a folder of splits, or single files; and how they are read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from replank.data.assembly import assemble
from replank.data.examples import OTHER_NAMES, SPLITS, Dataset
from replank.data.glue import load_glue
from replank.data.held_back import with_dev_held_back
from replank.data.passages import with_passages_in_rows
from replank.data.relations import load_relations
from replank.data.settings import DataSettings
from replank.data.tables import SUFFIXES, open_table, read_table
from replank.graphs.mined_folder import is_mined_folder
from replank.graphs.mining import is_graph_folder
from replank.system.errors import DataError, UsageError
from replank.tasks.kinds import KINDS
from replank.tasks.task import Task


@dataclass(frozen=True)
class DataConfig(DataSettings):
    """The source of examples, and the task that they are of; :class:`replank.data.settings.DataSettings` says what each
    setting means.
    """

    def load(self, model: Task | None = None, *, without_labels: Collection[str] = ()) -> Dataset:
        """Read everything.

        :param model: the task of an existing model: its labels hold, and its name, columns, kind, metrics and length do
            where this configuration says nothing. Without one, labels are those of ``labels``, else the data set's,
            else the training split's.
        :param without_labels: splits that may have no labels, beside those of any test. If dev is among them and there
            is none, a part of a training split without labels is; see :func:`with_dev_held_back`.
        :raises DataError: a file cannot be read, a column is missing, or a label is unknown.
        :raises HubError: the data set must come from the hub, which cannot be reached.
        """
        if model and not self._asks(model):
            model = None  # a pretrained encoder: what it was pretrained on is not what these labels ask
        if self.kind == KINDS["relation-prediction"] or (self.data is not None and is_mined_folder(Path(self.data))):
            return self._load_relations(model)
        if self.data is None and not (self.train or self.dev or self.test):
            return assemble(self, load_glue(str(self.dataset)), model)
        tables = {split: with_passages_in_rows(read_table(path)) for split, path in self._files().items()}
        if self.label is not None:  # a column that is named must be there
            without_labels = [split for split in without_labels if split != "dev"]
        data = assemble(self, tables, model, without_labels)
        is_judged = bool(data.task.kind.likeness_metrics) and not data.task.gives_vectors
        return with_dev_held_back(data) if "dev" in without_labels and is_judged else data

    def require_files(self) -> None:
        """Refuse tables that cannot be opened: what reads them may first import for seconds.

        :raises DataError: a file is missing, or its header cannot be read.
        """
        tables = () if self.kind == KINDS["relation-prediction"] else ("train", "dev", "test")
        for path in (getattr(self, name) for name in tables):
            if path is not None:
                with open_table(Path(path)):
                    pass

    @property
    def graph(self) -> Path | None:
        """The folder of a knowledge graph whose examples are still to be mined; ``None`` of all other data."""
        if self.data is None or self.kind != KINDS["relation-prediction"] or is_mined_folder(Path(self.data)):
            return None
        return Path(self.data) if is_graph_folder(Path(self.data)) else None

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

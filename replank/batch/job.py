"""A batch job: the file, its columns, and how the answers to a window of it are written as a part of the output."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from replank.batch.output import Answer, part_path, write_part
from replank.batch.windows import Values, Window, read_window
from replank.system.settings import setting
from replank.tasks.task import Task

if TYPE_CHECKING:
    from replank.runtime.model import Model


@dataclass(frozen=True)
class BatchConfig:
    """The columns to read of a file, and those to write."""

    text: str | None = setting(None, "Column of the text, or of a pair's first text. [default: the task's]")
    text_pair: str | None = setting(None, "Column of a pair's second text.")
    id_column: str | None = setting(
        None, "Column to repeat beside the answers. [default: the number of the row, from 1]", flag="id"
    )
    scores: bool = setting(
        False,
        "Write the probability of every label, not only of the answer; for models that label whole texts.",
    )


@dataclass(frozen=True)
class BatchJob:
    """Everything that decides what the parts of an output hold.

    :param columns: the text columns, followed by the id column if there is one.
    :param work: the folder of the parts.
    :param suffix: of the output, and so of its parts.
    """

    file: Path
    columns: tuple[str, ...]
    config: BatchConfig
    work: Path
    suffix: str

    def part(self, window: Window) -> Path:
        """The file of a window's answers."""
        return part_path(self.work, window.index, self.suffix)

    def answer(self, model: Model, window: Window, progress: Callable[[int], None] | None = None) -> None:
        """Answer a window and write its part."""
        rows = read_window(self.file, self.columns, window)
        write_part(self.part(window), self.names(model.task), self._answers(model, window, rows, progress))

    def names(self, task: Task) -> list[str]:
        """The columns of the output."""
        first = self.config.id_column or "row"
        return [first, *task.kind.columns(task.labels, every=self.config.scores)]

    def _answers(
        self, model: Model, window: Window, rows: list[Values], progress: Callable[[int], None] | None
    ) -> list[Answer]:
        columns = list(zip(*rows, strict=True))
        first, *second = columns[:-1] if self.config.id_column else columns
        ids: Sequence[str | int] = (
            columns[-1] if self.config.id_column else range(window.first + 1, window.first + window.rows + 1)
        )
        kind, labels = model.task.kind, model.task.labels
        if kind.is_per_word:
            tagged = zip(ids, model.tag([*map(_text_or_words, first)], progress=progress), strict=True)
            return [(name, [*map(asdict, one.words)], [*map(asdict, one.entities)]) for name, one in tagged]
        logits = model.logits(first, second[0] if second else None, progress=progress)
        return [
            (name, *kind.row(labels, scores, every=self.config.scores))
            for name, scores in zip(ids, model.task.scores(logits), strict=True)
        ]


def _text_or_words(cell: str) -> str | list[str]:
    """A raw text; or the words of a list, which a table keeps as JSON, as in files to learn from."""
    try:
        words = json.loads(cell) if cell.startswith("[") else None
    except ValueError:  # a text that begins with a bracket
        return cell
    return words if isinstance(words, list) and words and all(isinstance(word, str) for word in words) else cell

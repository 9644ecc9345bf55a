"""Answering a big file on disk: window by window, each kept when it is done, so that a killed run goes on."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replank.batch.file import Row, Window, cut, read_columns, read_window
from replank.batch.output import Answer, merge, part_path, require_suffix, write_part
from replank.models.source import Source
from replank.system.errors import DataError, UsageError
from replank.tasks.task import Task

if TYPE_CHECKING:
    from replank.runtime.model import Model

_GUESSES = (("sentence1", "sentence2"), ("sentence",), ("text",))

# Answers the windows, writes the part of each, and says after each how many rows it had.
Run = Callable[["Plan", list[Window]], Iterator[int]]


@dataclass(frozen=True)
class BatchConfig:
    """What is read of a file, and what is written of it.

    :param text: the column of the text, or of a pair's first; the task's own where ``None``.
    :param text_pair: the column of a pair's second text.
    :param id_column: a column to repeat beside the answers; the number of the row, from 1, where ``None``.
    :param scores: write the probability of every label, not the likeliest one's only.
    """

    text: str | None = None
    text_pair: str | None = None
    id_column: str | None = None
    scores: bool = False


@dataclass(frozen=True)
class Plan:
    """One run: everything that decides what its parts hold.

    :param columns: the text columns, and the id's after them if there is one.
    :param work: the folder of the parts.
    :param suffix: of the output, and so of the parts.
    """

    file: Path
    columns: tuple[str, ...]
    config: BatchConfig
    work: Path
    suffix: str

    def names(self, task: Task) -> list[str]:
        """The columns of the output."""
        first = self.config.id_column or "row"
        return [first, *task.kind.columns(task, every=self.config.scores)]

    def answer(self, model: Model, window: Window, progress: Callable[[int], None] | None = None) -> None:
        """Answer a window and write its part."""
        rows = read_window(self.file, self.columns, window)
        part = part_path(self.work, window.index, self.suffix)
        write_part(part, self.names(model.task), self._answers(model, window, rows, progress))

    def _answers(
        self, model: Model, window: Window, rows: list[Row], progress: Callable[[int], None] | None
    ) -> list[Answer]:
        columns = list(zip(*rows, strict=True))
        logits = model.logits(columns[0], columns[1] if model.task.is_pair else None, progress=progress)
        first: Any = columns[-1] if self.config.id_column else range(window.first + 1, window.first + window.rows + 1)
        scored = model.task.kind.scores(model.task, logits)
        return [
            (name, *model.task.kind.row(model.task, scores, every=self.config.scores))
            for name, scores in zip(first, scored, strict=True)
        ]


@dataclass(frozen=True)
class Summary:
    """What a run did.

    :param rows: of the file.
    :param resumed_rows: of them, answered by an earlier run that did not end.
    """

    rows: int
    resumed_rows: int


def batch(source: Source, file: Path, out: Path, config: BatchConfig, run: Run, *, force: bool = False) -> Summary:
    """Answer every row of a file into another, in the same order.

    Parts are kept in ``OUT.work`` until the last is written: a run that was killed goes on behind the last of them.

    :param source: a model that answers whole texts.
    :param run: answers the windows that are not done.
    :param force: replace ``out``, and forget what another run left.
    :raises UsageError: ``out`` exists, or another run's work lies there, or a suffix is unknown.
    :raises DataError: the file cannot be read as texts; nothing was answered.
    """
    require_suffix(out)
    if out.is_dir() or (out.exists() and not force):
        hint = "choose another OUT" if out.is_dir() else "choose another OUT, or replace it with --force"
        raise UsageError(f"{out} exists", hint=hint)
    if not out.parent.is_dir():
        raise UsageError(f"cannot write {out}: there is no folder {out.parent}")
    columns = _columns(source.task, file, config)
    plan = Plan(file, columns, config, out.with_name(f"{out.name}.work"), out.suffix)
    names = plan.names(source.task)
    if names[0] in names[1:]:
        raise UsageError(f"--id {names[0]} is the name of another column of {out}")
    windows = cut(file, columns)
    with _work_folder(plan, _identity(source, plan), force=force):
        missing = [window for window in windows if not part_path(plan.work, window.index, out.suffix).exists()]
        for _ in run(plan, missing):
            pass
        parts = [part_path(plan.work, window.index, out.suffix) for window in windows]
        merge(parts, names, out)
        shutil.rmtree(plan.work)
    rows = sum(window.rows for window in windows)
    return Summary(rows, rows - sum(window.rows for window in missing))


def _columns(task: Task, file: Path, config: BatchConfig) -> tuple[str, ...]:
    known = read_columns(file)
    if config.text is None and config.text_pair is not None:
        raise UsageError("--text-pair without --text", hint="name both columns of the pair")
    given = tuple(name for name in (config.text, config.text_pair) if name is not None)
    fitting = (guess for guess in (task.columns, *_GUESSES) if guess and set(guess) <= set(known))
    # A plain model folder does not tell whether it takes pairs.
    texts = given or next((guess for guess in fitting if len(guess) == len(task.columns or guess)), ())
    listed = ", ".join(map(repr, known)) or "none"
    if not texts:
        raise DataError(
            f"cannot tell the text column of {file}; its columns are {listed}",
            hint="name it with --text COLUMN (and --text-pair COLUMN for pairs)",
        )
    if len(texts) != len(task.columns or texts):
        raise UsageError(f"the model takes {len(task.columns)} texts a row, and {len(texts)} columns are named")
    wanted = (*texts, *([config.id_column] if config.id_column is not None else []))
    if unknown := [name for name in wanted if name not in known]:
        raise DataError(f"{file} has no column {unknown[0]!r}; its columns are {listed}")
    return wanted


def _identity(source: Source, plan: Plan) -> dict[str, Any]:
    """What must be the same for a run to go on with the parts of another."""
    with plan.file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    model = source.as_parent()["digest"]
    return {"model": model, "file": digest, "columns": list(plan.columns), "config": asdict(plan.config)}


@contextmanager
def _work_folder(plan: Plan, identity: dict[str, Any], *, force: bool) -> Iterator[None]:
    """The folder of the parts, this process's alone; it remains when the block raises."""
    plan.work.mkdir(exist_ok=True)
    with (plan.work / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(f"another process works in {plan.work}") from None
        found = _found_identity(plan)
        if found not in (None, identity) and not force:
            raise UsageError(
                f"{plan.work} holds the work of another model, file or choice of columns",
                hint="choose another OUT, or forget that work with --force",
            )
        for leftover in plan.work.iterdir():
            half_written = leftover.suffix != plan.suffix
            if leftover.name not in ("lock", "plan.json") and (found != identity or half_written):
                leftover.unlink()
        if found != identity:
            (plan.work / "plan.json").write_text(json.dumps(identity), encoding="utf-8")
        yield


def _found_identity(plan: Plan) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads((plan.work / "plan.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not there, or killed before it was written, when there are no parts either
        return None
    return found

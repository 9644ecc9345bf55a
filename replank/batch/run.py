"""Answers to a big file on disk, window by window; each part is kept when it is done, so that a killed run goes on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from replank.batch.job import BatchConfig, BatchJob
from replank.batch.output import merge, require_suffix
from replank.batch.parts import claim, clear
from replank.batch.windows import Window, cut
from replank.data.tables import open_table
from replank.models.source import Source
from replank.runtime.providers import Device
from replank.system.environment import versions
from replank.system.errors import DataError, FieldError, UsageError
from replank.system.locks import exclusive
from replank.system.progress import progress
from replank.tasks.task import Task

_GUESSES = (("sentence1", "sentence2"), ("sentence",), ("text",))

# Answers the windows of a job and writes their parts; yields the number of rows of each.
Runner = Callable[[Source, BatchJob, list[Window]], Iterator[int]]


@dataclass(frozen=True)
class Here:
    """A runner in this process.

    :param threads: of the session; all cores where ``None``.
    """

    device: Device = "cpu"
    threads: int | None = None

    def __call__(self, source: Source, job: BatchJob, windows: list[Window]) -> Iterator[int]:
        """See :data:`Runner`."""
        from replank.runtime.load import load_model

        model = load_model(source, device=self.device, threads=self.threads)
        with progress("batch", sum(window.rows for window in windows)) as advance:
            for window in windows:
                job.answer(model, window, advance)
                yield window.rows


@dataclass(frozen=True)
class Summary:
    """The rows of a batch run.

    :param rows: of the file.
    :param resumed_rows: of them, answered by an earlier run that did not end.
    """

    rows: int
    resumed_rows: int


def predict_file(
    source: Source,
    file: Path,
    out: Path,
    config: BatchConfig | None = None,
    runner: Runner | None = None,
    *,
    force: bool = False,
) -> Summary:
    """Answer every row of a file into another, in the same order.

    Parts are kept in ``OUT.work`` until the last is written: the same call goes on after the last of them.

    :param source: a model that labels texts or their words.
    :param out: .csv, .jsonl or .parquet.
    :param config: the defaults of :class:`BatchConfig` where ``None``.
    :param runner: :class:`Here` where ``None``, or :class:`replank.batch.ray.OnRay`.
    :param force: replace ``out``, and discard the parts of an earlier run.
    :raises UsageError: ``out`` exists, another process writes it, the parts of another run or other files lie where its
        parts would, or a suffix is unknown.
    :raises DataError: the file cannot be read as texts; nothing was answered.
    :raises ModelError: the model labels neither texts nor words.
    """
    from replank.runtime.model import require_rows

    config = config or BatchConfig()
    require_rows(source, "batch")
    _require_place(file, out)
    with exclusive(out):
        if out.exists() and not force:
            raise UsageError(f"{out} exists", hint="choose another `out`, or replace it with `force=True`")
        columns = _columns(source.task, file, config)
        job = BatchJob(file.resolve(), columns, config, out.with_name(f"{out.name}.work"), out.suffix)
        names = job.names(source.task)
        if names[0] in names[1:]:
            raise FieldError("id_column", names[0], f"a name that no other column of {out} has")
        windows = cut(file, columns)
        run = runner or Here()
        claim(job.work, _identity(source, job, run), force=force)
        missing = [window for window in windows if not job.part(window).exists()]
        for _ in run(source, job, missing):
            pass
        merge([job.part(window) for window in windows], names, out)
        clear(job.work)
    rows = sum(window.rows for window in windows)
    return Summary(rows, rows - sum(window.rows for window in missing))


def _require_place(file: Path, out: Path) -> None:
    require_suffix(out)
    if out.resolve() == file.resolve():
        raise UsageError(f"{out} is the file itself", hint="choose another `out`")
    if out.is_dir():
        raise UsageError(f"{out} exists and is a folder", hint="choose another `out`")
    if not out.parent.is_dir():
        raise UsageError(f"cannot write {out}: there is no folder {out.parent}")


def _columns(task: Task, file: Path, config: BatchConfig) -> tuple[str, ...]:
    with open_table(file) as table:
        known = table.columns
    if config.text is None and config.text_pair is not None:
        raise UsageError("`text_pair` without `text`", hint="name both columns of the pair")
    given = tuple(name for name in (config.text, config.text_pair) if name is not None)
    fitting = (guess for guess in (task.columns, *_GUESSES) if guess and set(guess) <= set(known))
    # A plain model folder does not tell whether it takes pairs.
    texts = given or next((guess for guess in fitting if len(guess) == len(task.columns or guess)), ())
    listed = ", ".join(map(repr, known)) or "none"
    if not texts:
        raise DataError(
            f"cannot tell the text column of {file}; its columns are {listed}",
            hint="name it with `text` (and `text_pair` for pairs)",
        )
    if len(texts) != len(task.columns or texts):
        raise UsageError(f"the model takes {len(task.columns)} texts a row, and {len(texts)} columns are named")
    wanted = (*texts, *([config.id_column] if config.id_column is not None else []))
    if unknown := [name for name in wanted if name not in known]:
        raise DataError(
            f"{file} has no column {unknown[0]!r}; its columns are {listed}",
            hint="name the columns with `text`, `text_pair` and `id_column`",
        )
    return wanted


def _identity(source: Source, job: BatchJob, runner: Runner) -> dict[str, Any]:
    """The facts that must be equal for a run to go on with the parts of another."""
    with job.file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return {
        "model": source.digest,
        # Of a plain folder, the digest is that of its weights only.
        "task": source.task.to_json(),
        "file": digest,
        "columns": list(job.columns),
        "config": asdict(job.config),
        # Devices differ in arithmetic; a runner of another sort may have none.
        "device": getattr(runner, "device", None),
        "versions": versions(),
    }

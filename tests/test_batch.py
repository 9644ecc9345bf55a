"""The command `batch`: big files, killed runs, and what cannot be read."""

from __future__ import annotations

import csv
import importlib.util
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Replank, error_lines, replank_process, sentences

from replank.answers import answers
from replank.batch import BatchConfig, Plan, batch
from replank.batch_file import Window, cut, read_window
from replank.errors import DataError, UsageError
from replank.runtime import Model
from replank.source import open_source

ROWS = 300
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra ray is not installed")


def texts() -> list[str]:
    """Sentences, with what is hard to keep on one line among them."""
    made = [text for text, _ in sentences(ROWS, 5)]
    made[3], made[7], made[9] = 'a "good"\nfilm,\twith\r\nlines', "", "🚢 \u2028 bad \x0c film"
    return made


def write(path: Path, values: list[str]) -> Path:
    ids = [f"id-{row}" for row in range(len(values))]
    if path.suffix == ".jsonl":
        lines = [json.dumps({"sentence": value, "key": key}) for value, key in zip(values, ids, strict=True)]
        path.write_text("\n\n".join(lines), encoding="utf-8")
    elif path.suffix == ".parquet":
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.table({"key": ids, "sentence": values}), path, row_group_size=70)
    else:
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["key", "sentence"])
            writer.writerows(zip(ids, values, strict=True))
    return path


def read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if path.suffix == ".parquet":
        from pyarrow import parquet

        rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
        return rows
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def expected(model: Model, values: list[str]) -> list[tuple[str, float]]:
    return [(scores[0].label, scores[0].score) for scores in answers(model.task, model.logits(values))]


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


def in_small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("replank.batch.cut", lambda file, columns: cut(file, columns, window_rows=32))


def test_what_an_earlier_run_answered_is_not_answered_again(
    monkeypatch: pytest.MonkeyPatch, onnx_artifact: Path, model: Model, tmp_path: Path
) -> None:
    in_small_windows(monkeypatch)
    file, out, asked = write(tmp_path / "in.csv", texts()), tmp_path / "out.jsonl", []

    def run(plan: Plan, windows: list[Window]) -> Any:
        for window in windows:
            asked.append(window.index)
            if window.index == 4 and len(asked) == 5:
                raise KeyboardInterrupt
            plan.answer(model, window)
            yield window.rows

    source = open_source(onnx_artifact)
    with pytest.raises(KeyboardInterrupt):
        batch(source, file, out, BatchConfig(), run)
    assert not out.exists()
    with pytest.raises(UsageError, match="holds the work of another model, file or choice of columns"):
        batch(source, file, out, BatchConfig(scores=True), run)
    # As a kill in the middle of a write leaves it.
    (tmp_path / "out.jsonl.work" / "00000004.jsonl.99").write_text("half", encoding="utf-8")
    summary = batch(source, file, out, BatchConfig(), run)
    assert (summary.rows, summary.resumed_rows) == (ROWS, 128)
    assert asked == [0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 9]
    assert [(row["row"], row["label"]) for row in read(out)] == [
        (number, label) for number, (label, _) in enumerate(expected(model, texts()), 1)
    ]
    assert not (tmp_path / "out.jsonl.work").exists()


def test_force_forgets_what_another_run_left(
    monkeypatch: pytest.MonkeyPatch, onnx_artifact: Path, model: Model, tmp_path: Path
) -> None:
    in_small_windows(monkeypatch)
    file, out, asked = write(tmp_path / "in.csv", texts()), tmp_path / "out.csv", []

    def run(plan: Plan, windows: list[Window]) -> Any:
        asked.append(len(windows))
        for window in windows[: 3 if len(asked) == 1 else None]:
            plan.answer(model, window)
            yield window.rows
        if len(asked) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        batch(open_source(onnx_artifact), file, out, BatchConfig(), run)
    file.write_text("sentence\nanother file\n", encoding="utf-8")
    assert batch(open_source(onnx_artifact), file, out, BatchConfig(), run, force=True).resumed_rows == 0
    assert [row["row"] for row in read(out)] == ["1"]


def test_a_killed_run_goes_on_where_it_was(onnx_artifact: Path, tmp_path: Path) -> None:
    """kill -9 between two windows; then the file is as if nothing had been."""
    file = write(tmp_path / "in.jsonl", [text for text, _ in sentences(30_000, 1)])
    out, work = tmp_path / "out.parquet", tmp_path / "out.parquet.work"
    command = ["batch", onnx_artifact, file, out, "--id", "key", "--threads", "1", "--json"]
    with replank_process(*command) as process:
        while not (work / "00000001.parquet").exists():
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert not out.exists(), "the run ended before it was killed"
    kept = {path: path.stat().st_mtime_ns for path in work.glob("*.parquet")}
    process = replank_process(*command)
    data, talk = process.communicate()
    assert process.returncode == 0, talk
    assert json.loads(data)["resumed_rows"] >= 4096 * len(kept) > 0
    assert [row["key"] for row in read(out)] == [f"id-{row}" for row in range(30_000)]
    assert not work.exists()


def test_two_runs_at_once_are_refused(onnx_artifact: Path, model: Model, tmp_path: Path) -> None:
    file, out = write(tmp_path / "in.csv", texts()), tmp_path / "out.csv"
    source = open_source(onnx_artifact)

    def run(plan: Plan, windows: list[Window]) -> Any:
        with pytest.raises(UsageError, match="another process works in"):
            batch(source, file, out, BatchConfig(), run)
        plan.answer(model, windows[0])
        yield windows[0].rows

    assert batch(source, file, out, BatchConfig(), run).rows == ROWS


def test_memory_does_not_grow_with_the_file(onnx_artifact: Path, tmp_path: Path) -> None:
    """Peak resident memory, in kB as the system counts it, over one window and over eight."""

    def peak(rows: int) -> int:
        file = write(tmp_path / f"{rows}.jsonl", ["good film " * 8] * rows)
        code = "import resource; from replank.cli.main import main\ntry: main()\n"
        code += "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        arguments = ["batch", str(onnx_artifact), str(file), str(file.with_suffix(".csv")), "--threads", "1"]
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
        return int(done.stdout.splitlines()[-1])

    assert peak(8 * 4096) < peak(4096) * 1.25


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("in.csv", b"sentence\na\nb,c\n", "line 3: 2 values where the header names 1 columns"),
        ("in.csv", b'sentence\n"a\n\nb"x\n', "the row that starts on line 2"),
        ("in.csv", b"sentence\na\xff\n", "line 2 holds the byte 0xff"),
        ("in.csv", b"a,a\n1,2\n", "names a column twice"),
        ("in.csv", b"", "its columns are none"),
        ("in.csv", b"title\na\n", "cannot tell the text column"),
        ("in.jsonl", b'{"sentence": "a"}\n{"sentence": \n', "line 2 is not JSON"),
        ("in.jsonl", b'{"sentence": "a"}\n["b"]\n', "line 2: expected a JSON object"),
        ("in.jsonl", b'{"sentence": "a"}\n{"other": "b"}\n', "line 2 has no key 'sentence'"),
        ("in.parquet", b"PAR1 no, not really", "is no Parquet file"),
        ("in.txt", b"a", "the suffix must be one of"),
        ("missing.csv", None, "there is no file"),
    ],
)
def test_what_cannot_be_read_is_said_before_any_work(
    replank: Replank, onnx_artifact: Path, tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    done = replank("batch", onnx_artifact, tmp_path / name, tmp_path / "out.csv")
    assert done.code == (2 if name == "in.txt" else 1)
    assert message in error_lines(done)[0]
    assert [path.name for path in tmp_path.iterdir()] == ([name] if content is not None else [])


@pytest.mark.parametrize(
    ("flags", "message", "code"),
    [
        (["--text-pair", "key"], "--text-pair without --text", 2),
        (["--text", "sentence", "--text-pair", "key"], "the model takes 1 texts a row", 2),
        (["--text", "nowhere"], "has no column 'nowhere'; its columns are 'key', 'sentence'", 1),
        (["--id", "nowhere"], "has no column 'nowhere'", 1),
    ],
)
def test_columns_that_do_not_fit(
    replank: Replank, onnx_artifact: Path, tmp_path: Path, flags: list[str], message: str, code: int
) -> None:
    done = replank("batch", onnx_artifact, write(tmp_path / "in.csv", texts()), tmp_path / "out.csv", *flags)
    assert done.code == code
    assert message in error_lines(done)[0]


def test_an_output_that_is_there_is_replaced_by_force_only(
    replank: Replank, onnx_artifact: Path, tmp_path: Path
) -> None:
    file, out = write(tmp_path / "in.csv", texts()), tmp_path / "out.jsonl"
    out.write_text("precious", encoding="utf-8")
    done = replank("batch", onnx_artifact, file, out)
    assert (done.code, "exists" in error_lines(done)[0]) == (2, True)
    assert out.read_text(encoding="utf-8") == "precious"
    assert replank("batch", onnx_artifact, file, out, "--force").code == 0
    assert len(read(out)) == ROWS
    assert replank("batch", onnx_artifact, file, tmp_path / "out.xlsx").code == 2


def test_a_file_without_rows_is_answered_with_none(replank: Replank, onnx_artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("sentence\n", encoding="utf-8")
    assert replank("batch", onnx_artifact, tmp_path / "in.csv", tmp_path / "out.csv").code == 0
    assert (tmp_path / "out.csv").read_text(encoding="utf-8") == "row,label,score\n"


def test_a_file_that_became_shorter_is_said(tmp_path: Path) -> None:
    file = write(tmp_path / "in.jsonl", texts())
    (window,) = cut(file, ("sentence",))
    write(file, texts()[:10])
    with pytest.raises(DataError, match="became shorter"):
        read_window(file, ("sentence",), window)


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


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_the_extra_is_named(replank: Replank, onnx_artifact: Path, tmp_path: Path) -> None:
    done = replank("batch", onnx_artifact, write(tmp_path / "in.csv", texts()), tmp_path / "out.csv", "--ray")
    assert done.code == 1
    assert error_lines(done)[0] == "error: not installed: ray"

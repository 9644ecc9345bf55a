"""A big file after a kill, beside another run, and within its memory."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from batch_files import ROWS, expected, in_small_windows, read, texts, write
from commands import replank_process
from replank.batch.job import BatchConfig, BatchJob
from replank.batch.run import Here, predict_file
from replank.batch.windows import Window
from replank.models.source import Source, open_source
from replank.runtime.model import Model
from replank.system.errors import UsageError
from tiny import sentences


def test_what_an_earlier_run_answered_is_not_answered_again(
    monkeypatch: pytest.MonkeyPatch, onnx_artifact: Path, model: Model, tmp_path: Path
) -> None:
    in_small_windows(monkeypatch)
    file, out, asked = write(tmp_path / "in.csv", texts()), tmp_path / "out.jsonl", []

    def run(source: Source, job: BatchJob, windows: list[Window]) -> Any:
        for window in windows:
            asked.append(window.index)
            if window.index == 4 and len(asked) == 5:
                raise KeyboardInterrupt
            job.answer(model, window)
            yield window.rows

    source = open_source(onnx_artifact)
    with pytest.raises(KeyboardInterrupt):
        predict_file(source, file, out, BatchConfig(), run)
    assert not out.exists()
    with pytest.raises(UsageError, match=r"another model, file or choice of columns \(differs in: config\)"):
        predict_file(source, file, out, BatchConfig(scores=True), run)
    # As a kill in the middle of a write leaves it.
    (tmp_path / "out.jsonl.work" / ".00000004.jsonl.99.partial").write_text("half", encoding="utf-8")
    summary = predict_file(source, file, out, BatchConfig(), run)
    assert (summary.rows, summary.resumed_rows) == (ROWS, 128)
    assert asked == [0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 9]
    assert [(row["row"], row["label"]) for row in read(out)] == [
        (number, label) for number, (label, _) in enumerate(expected(model, texts()), 1)
    ]
    assert not (tmp_path / "out.jsonl.work").exists()


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch, onnx_artifact: Path, model: Model, tmp_path: Path) -> Path:
    """The output of a run that was interrupted after one part of ten."""
    in_small_windows(monkeypatch)
    out = tmp_path / "out.csv"

    class Interrupted(Here):
        def __call__(self, source: Source, job: BatchJob, windows: list[Window]) -> Any:
            job.answer(model, windows[0])
            yield windows[0].rows
            raise KeyboardInterrupt

    file = write(tmp_path / "in.csv", texts())
    with pytest.raises(KeyboardInterrupt):
        predict_file(open_source(onnx_artifact), file, out, runner=Interrupted())
    return out


@pytest.mark.parametrize("name", ["notes.txt", "00000003.csv", "job.json", "lock"])
@pytest.mark.parametrize("force", [False, True])
def test_files_of_others_in_the_place_of_the_parts_are_refused(
    onnx_artifact: Path, tmp_path: Path, name: str, force: bool
) -> None:
    work = tmp_path / "out.csv.work"
    work.mkdir()
    (work / name).write_text('{"mine": 1}', encoding="utf-8")
    file = write(tmp_path / "in.csv", texts())
    with pytest.raises(UsageError, match=rf"out\.csv\.work is needed .* holds other files, such as {name}"):
        predict_file(open_source(onnx_artifact), file, tmp_path / "out.csv", force=force)
    assert [path.name for path in work.iterdir()] == [name]
    assert (work / name).read_text(encoding="utf-8") == '{"mine": 1}'


@pytest.mark.parametrize("force", [False, True])
def test_what_was_put_beside_the_parts_stays(
    interrupted: Path, onnx_artifact: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, force: bool
) -> None:
    """Also where the parts are those of another run, and are discarded."""
    work, columns = tmp_path / "out.csv.work", BatchConfig(scores=force)
    (work / "notes.txt").write_text("mine", encoding="utf-8")
    (work / "figures").mkdir()
    (work / ".00000004.csv.99.partial").write_text("half", encoding="utf-8")
    predict_file(open_source(onnx_artifact), tmp_path / "in.csv", interrupted, columns, force=force)
    assert len(read(interrupted)) == ROWS
    assert sorted(path.name for path in work.iterdir()) == ["figures", "notes.txt"]
    assert f"{work} is kept, as it holds other files, such as figures" in caplog.text


def test_parts_of_another_version_or_device_are_not_gone_on_with(
    interrupted: Path, onnx_artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, file = open_source(onnx_artifact), tmp_path / "in.csv"
    with pytest.raises(UsageError, match=r"differs in: device\)"):
        predict_file(source, file, interrupted, runner=Here(device="openvino"))
    monkeypatch.setattr("replank.batch.run.versions", lambda: {"onnxruntime": "9.9"})
    with pytest.raises(UsageError, match=r"differs in: versions\)"):
        predict_file(source, file, interrupted)
    assert (tmp_path / "out.csv.work" / "00000000.csv").exists()


def test_the_folder_of_the_parts_may_be_a_link(onnx_artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    (tmp_path / "out.csv.work").symlink_to(tmp_path / "scratch")
    predict_file(open_source(onnx_artifact), write(tmp_path / "in.csv", texts()), tmp_path / "out.csv")
    assert list((tmp_path / "scratch").iterdir()) == []
    assert (tmp_path / "out.csv.work").is_symlink()


def test_force_forgets_what_another_run_left(
    monkeypatch: pytest.MonkeyPatch, onnx_artifact: Path, model: Model, tmp_path: Path
) -> None:
    in_small_windows(monkeypatch)
    file, out, asked = write(tmp_path / "in.csv", texts()), tmp_path / "out.csv", []

    def run(source: Source, job: BatchJob, windows: list[Window]) -> Any:
        asked.append(len(windows))
        for window in windows[: 3 if len(asked) == 1 else None]:
            job.answer(model, window)
            yield window.rows
        if len(asked) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_file(open_source(onnx_artifact), file, out, BatchConfig(), run)
    file.write_text("sentence\nanother file\n", encoding="utf-8")
    assert predict_file(open_source(onnx_artifact), file, out, BatchConfig(), run, force=True).resumed_rows == 0
    assert [row["row"] for row in read(out)] == ["1"]


DYING = """
import os, signal
from replank.batch.job import BatchJob
from replank.cli.main import main

answer = BatchJob.answer

def answer_two(job, model, window, *others):
    if window.index == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return answer(job, model, window, *others)

BatchJob.answer = answer_two
main()
"""


def test_a_killed_run_goes_on_where_it_was(onnx_artifact: Path, tmp_path: Path) -> None:
    """kill -9 between two windows; then the file is as if nothing had been."""
    file = write(tmp_path / "in.jsonl", [text for text, _ in sentences(30_000, 1)])
    out, work = tmp_path / "out.parquet", tmp_path / "out.parquet.work"
    command = [str(word) for word in ("batch", onnx_artifact, file, out, "--id", "key", "--threads", 1, "--json")]
    killed = subprocess.run([sys.executable, "-c", DYING, *command], capture_output=True, check=False)
    assert (killed.returncode, killed.stdout, out.exists()) == (-signal.SIGKILL, b"", False)
    kept = {path: path.stat().st_mtime_ns for path in work.glob("*.parquet")}
    process = replank_process(*command)
    data, talk = process.communicate()
    assert process.returncode == 0, talk
    assert json.loads(data)["resumed_rows"] == 4096 * len(kept) == 4096 * 2
    assert [row["key"] for row in read(out)] == [f"id-{row}" for row in range(30_000)]
    assert not work.exists()


def test_two_runs_at_once_are_refused(onnx_artifact: Path, model: Model, tmp_path: Path) -> None:
    file, out = write(tmp_path / "in.csv", texts()), tmp_path / "out.csv"
    source = open_source(onnx_artifact)

    def run(source: Source, job: BatchJob, windows: list[Window]) -> Any:
        with pytest.raises(UsageError, match="another process writes"):
            predict_file(source, file, out, BatchConfig(), run)
        job.answer(model, windows[0])
        yield windows[0].rows

    assert predict_file(source, file, out, BatchConfig(), run).rows == ROWS


PEAK = """
from replank.cli.main import main
from replank.runtime.timing import peak_memory
try: main()
finally: print(peak_memory())
"""
# The same run, which lets go of no window.
HELD = """
import replank.batch.job as job
held, read_window = [], job.read_window
job.read_window = lambda *arguments: held.append(read_window(*arguments)) or held[-1]
"""


def test_memory_does_not_grow_with_the_file(onnx_artifact: Path, tmp_path: Path) -> None:
    """Seven windows more take less than half of their size; for comparison, a run that keeps them takes more."""

    def write_rows(name: str, rows: int) -> Path:
        file = tmp_path / name
        with file.open("w", encoding="utf-8") as lines:
            for row in range(rows):
                lines.write(json.dumps({"sentence": "good film", "key": f"{row:01000}"}) + "\n")
        return file

    def peak(file: Path, code: str) -> int:
        out = tmp_path / "out.jsonl"
        arguments = ["batch", str(onnx_artifact), str(file), str(out), "--id", "key", "--threads", "1", "--force"]
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
        assert out.stat().st_size > file.stat().st_size
        return int(done.stdout.splitlines()[-1])

    one, eight = write_rows("one.jsonl", 4096), write_rows("eight.jsonl", 8 * 4096)
    half, least = 7 * 4096 * 1000 // 2, peak(one, PEAK)
    assert least > 0
    assert peak(eight, PEAK) - least < half
    assert peak(eight, HELD + PEAK) - least > half

"""What `replank batch` refuses, before any work."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from batch_files import ROWS, read, texts, write
from commands import Replank, error_lines
from replank.batch.windows import cut, read_window
from replank.system.errors import DataError


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("in.csv", b"sentence\na\nb,c\n", "line 3: 2 values where the header names 1 column"),
        ("in.csv", b'sentence\n"a\n\nb"x\n', "the row that starts on line 2"),
        ("in.csv", b"sentence\na\xff\n", "line 2 holds the byte 0xff"),
        ("in.csv", b"a,a\n1,2\n", "names a column twice"),
        ("in.csv", b"", "its columns are none"),
        ("in.csv", b"title\na\n", "cannot tell the text column"),
        ("in.jsonl", b'{"sentence": "a"}\n{"sentence": \n', "line 2 is not JSON"),
        ("in.jsonl", b'{"sentence": "a"}\n["b"]\n', "line 2: expected a JSON object"),
        ("in.jsonl", b'{"sentence": "a"}\n{"other": "b"}\n', "line 2 lacks the key 'sentence' that line 1 has"),
        ("in.parquet", b"PAR1 no, not really", "is not a Parquet file"),
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
    if "has no column" in message:
        assert error_lines(done)[1] == "hint: name the columns with --text, --text-pair and --id"


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


def test_the_file_itself_is_not_replaced(replank: Replank, onnx_artifact: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "in.csv", texts())
    (tmp_path / "link.csv").symlink_to(file)
    before = file.read_bytes()
    done = replank("batch", onnx_artifact, file, tmp_path / "link.csv", "--force")
    assert (done.code, "link.csv is the file itself" in error_lines(done)[0]) == (2, True)
    assert file.read_bytes() == before


def test_a_file_that_became_shorter_is_said(tmp_path: Path) -> None:
    file = write(tmp_path / "in.jsonl", texts())
    (window,) = cut(file, ("sentence",))
    write(file, texts()[:10])
    with pytest.raises(DataError, match="became shorter"):
        read_window(file, ("sentence",), window)


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_the_extra_is_named(replank: Replank, onnx_artifact: Path, tmp_path: Path) -> None:
    done = replank("batch", onnx_artifact, write(tmp_path / "in.csv", texts()), tmp_path / "out.csv", "--ray")
    assert done.code == 1
    assert error_lines(done)[0] == "error: not installed: ray"

"""Errors in a few lines, and the exit code that goes with each."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from commands import Done, Replank, error_lines
from replank.data.config import DataConfig

# Usage: exit code 2


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (["finetun"], "No such command 'finetun'. Did you mean 'finetune'?", "replank --help"),
        (["predict"], "Missing argument 'MODEL'.", "replank predict --help"),
        (["inspect", "a", "b"], "Got unexpected extra argument (b)", "replank inspect --help"),
        (["finetune", "a", "b", "--epoch", "1"], "No such option '--epoch'. Did you mean '--epochs'?", None),
        (["finetune", "a", "b", "--epochs", "x"], "Invalid value for '--epochs': 'x' is not a valid float.", None),
        (["compress", "a", "b", "--layers", "x"], "Invalid value for '--layers': 'x' is not a valid integer.", None),
        (
            ["predict", "a", "--device", "tpu"],
            "'--device': 'tpu' is not one of 'cpu', 'cuda', 'openvino', 'openvino-bf16', 'auto'.",
            None,
        ),
        (["finetune", "a", "b", "--dataset", "sst3"], "unknown data set 'sst3'", "did you mean sst2?"),
        (["finetune", "a", "b", "--text-pair", "x", "--data", "d"], "--text-pair needs --text", None),
        (["finetune", "ENCODER", "OUT"], "no data given", "--dataset NAME (GLUE), --data FOLDER, or --train FILE"),
        (["finetune", "ENCODER", "OUT", "DATA", "--epochs", "0"], "--epochs is 0.0; expected more than 0", None),
        (["finetune", "ENCODER", "FULL", "DATA"], "FULL is not empty", "choose another folder, or replace it with"),
        (["finetune", "ENCODER", "ENCODER", "DATA", "--force"], "ENCODER is the model itself", None),
        (
            ["compress", "PREDECESSOR", "OUT", "DATA", "--layers", "3"],
            "--layers is 3; expected a divisor of 4, the predecessor's layers: 2, 1",
            "groups of unequal size work too: --grouping 1,1,2",
        ),
        (["export", "PREDECESSOR", "OUT", "--opset", "11"], "--opset is 11; expected 17 to 20", None),
        *(
            ([*words, "DATA", "--max-length", "9999"], "--max-length is 9999; expected at most ", None)
            for words in (
                ["finetune", "ENCODER", "OUT"],
                ["run", "ENCODER", "OUT"],
                ["compress", "PREDECESSOR", "OUT"],
                ["export", "PREDECESSOR", "OUT"],
                ["quantize", "ONNX", "OUT"],
                ["evaluate", "ONNX"],
                ["verify", "PREDECESSOR", "ONNX"],
                ["attack", "PREDECESSOR", "--masked-lm", "ENCODER"],
                ["search", "PREDECESSOR", "OUT", "--max-latency", "9ms"],
            )
        ),
        (["quantize", "ONNX", "OUT", "--max-drop", "nan"], "--max-drop is nan; expected a fraction", None),
        (["predict", "PAIRS", "one text"], "1 texts for a task of pairs; expected them in twos", None),
        (["evaluate", "ONNX"], "no data given", None),
        (["export", "PREDECESSOR", "OUT", "--max-length", "9"], "no data given", "--dataset NAME (GLUE)"),
    ],
)
def test_usage_errors(
    replank: Replank,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    encoder: Path,
    int8_artifact: Path,
    pair_onnx_artifact: Path,
    data: DataConfig,
    arguments: list[str],
    error: str,
    hint: str | None,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FULL").mkdir()
    (tmp_path / "FULL" / "file").touch()
    (tmp_path / "ENCODER").symlink_to(encoder)
    (tmp_path / "PREDECESSOR").symlink_to(int8_artifact.with_name("predecessor"))
    (tmp_path / "ONNX").symlink_to(int8_artifact.with_name("onnx"))
    (tmp_path / "PAIRS").symlink_to(pair_onnx_artifact)
    words = [word for argument in arguments for word in (["--data", data.data] if argument == "DATA" else [argument])]
    before = sorted(tmp_path.iterdir())
    done = replank(*words)
    lines = error_lines(done)
    assert done.code == 2
    assert error in lines[0]
    assert hint is None or lines[1].startswith(f"hint: {hint}")
    assert sorted(tmp_path.iterdir()) == before


# Failures: exit code 1


@pytest.fixture
def places(tmp_path: Path, encoder: Path, onnx_artifact: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with good and bad things in it, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "encoder").symlink_to(encoder)
    (tmp_path / "onnx").symlink_to(onnx_artifact)
    for name in ("nothing", "flipped", "gpt2"):
        (tmp_path / name).mkdir()
    shutil.copytree(onnx_artifact, tmp_path / "flipped", dirs_exist_ok=True)
    graph = bytearray((tmp_path / "flipped" / "model.onnx").read_bytes())
    graph[len(graph) // 2] ^= 1
    (tmp_path / "flipped" / "model.onnx").write_bytes(graph)
    (tmp_path / "gpt2" / "config.json").write_text('{"model_type": "gpt2"}', encoding="utf-8")
    (tmp_path / "gpt2" / "model.safetensors").touch()
    (tmp_path / "good.tsv").write_text("text\tlabel\na\tx\nb\ty\n", encoding="utf-8")
    (tmp_path / "new.tsv").write_text("text\tlabel\na\tx\nb\tz\n", encoding="utf-8")
    (tmp_path / "empty.tsv").touch()
    (tmp_path / "latin.tsv").write_bytes(b"text\tlabel\ncaf\xe9\tx\n")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (
            "predict nothing a",
            "nothing is no model folder: it has no config.json; it holds nothing",
            "expected config.json",
        ),
        ("predict no/such/folder a", "there is no folder no/such/folder", "expected a model folder"),
        ("predict gpt2 a", "gpt2 is a model of type 'gpt2'", "replank handles encoders of these types: bert"),
        ("predict encoder a", "encoder is an encoder without a classification head", "make a predecessor of it first"),
        ("predict flipped a", "flipped/model.onnx is damaged: its sha256 is not the manifest's", "copy it again"),
        ("inspect flipped", "flipped/model.onnx is damaged: its sha256 is not the manifest's", "copy it again"),
        (
            "predict onnx a --device cuda",
            "--device cuda: this onnxruntime has no CUDAExecutionProvider",
            "replank doctor",
        ),
        ("quantize encoder out", "encoder is a model of kind torch; quantize needs one of kind onnx", "replank export"),
        ("export onnx out", "onnx is a model of kind onnx; export needs one of kind torch", None),
        ("finetune encoder out --train no.tsv --dev good.tsv", "there is no file no.tsv", ". has "),
        ("finetune encoder out --train empty.tsv --dev good.tsv", "empty.tsv is empty", None),
        (
            "finetune encoder out --train latin.tsv --dev good.tsv",
            "latin.tsv is not UTF-8: line 2 holds the byte",
            "convert",
        ),
        (
            "finetune encoder out --train good.tsv --dev new.tsv",
            "new.tsv, line 3: label 'z' is not one of x, y",
            "every",
        ),
        (
            "finetune encoder out --train good.tsv --dev good.tsv --label no",
            "has no column 'no'; its columns are",
            "name",
        ),
        ("finetune encoder out --data nowhere", "there is no folder nowhere", None),
        ("evaluate onnx --dev good.tsv", "good.tsv, line 2: label 'x' is not one of negative, positive", "every label"),
        (
            "evaluate onnx --dev good.tsv --text body",
            "has no column 'body'; its columns are 'text', 'label'",
            "name the",
        ),
    ],
)
def test_failures(replank: Replank, places: Path, arguments: str, error: str, hint: str | None) -> None:
    if "cuda" in arguments and "CUDAExecutionProvider" in __import__("onnxruntime").get_available_providers():
        pytest.skip("this machine can do it")
    before = sorted(places.iterdir())
    done = replank(*arguments.split())
    lines = error_lines(done)
    assert done.code == 1
    assert error in lines[0]
    assert (len(lines) == 1) if hint is None else lines[1].startswith(f"hint: {hint}")
    assert sorted(places.iterdir()) == before


def test_an_unexpected_error_is_one_line_and_debug_shows_where(
    replank: Replank, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str, file: str | None) -> None:
        raise RuntimeError(f"first line of {name}\n   second line")

    monkeypatch.setattr("replank.cli.inspect.open_source", fail)
    done = replank("inspect", "x")
    assert done.code == 1
    assert error_lines(done) == [
        "error: unexpected RuntimeError: first line of x second line",
        "hint: replank --debug COMMAND … shows the traceback",
    ]


def test_the_end_of_a_file_is_no_interruption(replank: Replank, monkeypatch: pytest.MonkeyPatch) -> None:
    """A truncated checkpoint raises EOFError, which click takes for Ctrl-D."""

    def fail(name: str, file: str | None) -> None:
        raise EOFError("Ran out of input")

    monkeypatch.setattr("replank.cli.inspect.open_source", fail)
    done = replank("inspect", "x")
    assert done.code == 1
    assert error_lines(done)[0] == "error: unexpected EOFError: Ran out of input"


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device", "x/model.safetensors"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 115008 vs 114896"),
        RuntimeError("PytorchStreamWriter failed writing file data/0"),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_full_disk_is_found_under_other_errors(
    replank: Replank, monkeypatch: pytest.MonkeyPatch, error: Exception, wrapped: bool
) -> None:
    def fail(name: str, file: str | None) -> None:
        if not wrapped:
            raise error
        try:
            raise error
        except Exception as cause:
            raise ValueError("something else") from cause

    monkeypatch.setattr("replank.cli.inspect.open_source", fail)
    done = replank("inspect", "x")
    assert (done.code, error_lines(done)[0]) == (1, "error: the disk is full")


def test_a_missing_extra_says_what_to_install(tmp_path: Path, encoder: Path) -> None:
    """As on a machine that only serves: there is no torch to import."""
    program = "import sys; sys.modules['torch'] = None; from replank.cli.main import main; main()"
    (tmp_path / "t.tsv").write_text("text\tlabel\na\tx\nb\ty\n", encoding="utf-8")
    arguments = ["finetune", str(encoder), "out", "--train", "t.tsv", "--dev", "t.tsv"]
    done = run_replank_program(program, *arguments, cwd=tmp_path)
    assert done.code == 1
    assert error_lines(done) == ["error: not installed: torch", 'hint: pip install "replank[compress]"']
    assert not (tmp_path / "out").exists()


def run_replank_program(program: str, *arguments: str, **settings: Any) -> Done:
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, *arguments], capture_output=True, text=True, check=False, **settings
    )
    return Done(done.returncode, done.stdout, done.stderr)


# A missed gate: exit code 3


def test_a_missed_gate(replank: Replank, predecessor: Path, onnx_artifact: Path) -> None:
    done = replank("verify", predecessor, onnx_artifact)
    assert done.code == 3
    assert "error: the logits differ from those of" in done.err
    assert "right padding" in done.out
    assert replank("verify", onnx_artifact.with_name("successor"), onnx_artifact).code == 0

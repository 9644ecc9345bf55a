"""The command line as a person meets it: help, defaults, errors in a few lines, answers, and an end by Ctrl-C."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import MISSING, fields
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from conftest import Done, Replank, replank_process, run_replank

from compress.finetune import FinetuneConfig
from compress.replacing import TheseusConfig
from compress.schedule import LinearSchedule
from export.convert import ExportConfig
from export.int8 import DynamicInt8
from replank.artifact import Artifact
from replank.cli.main import cli, main
from replank.data import DataConfig
from replank.runtime import load_model
from replank.source import open_source
from serve.app import ServeConfig
from serve.benchmark import BenchmarkConfig

COMMANDS = list(cli.commands)


def error_lines(done: Done) -> list[str]:
    """The lines of an error as it must be: one of what is wrong, at most one of what to try, and no data."""
    lines = [line for line in done.err.splitlines() if line.startswith(("error: ", "hint: "))]
    assert "Traceback" not in done.err
    assert done.out == ""
    assert 1 <= len(lines) <= 2, done.err
    assert lines[0].startswith("error: ")
    assert done.err.splitlines()[-len(lines) :] == lines
    return lines


# Help and defaults


def test_the_commands_stand_in_the_order_of_the_chain(replank: Replank) -> None:
    done = replank("--help")
    assert done.code == 0
    listed = done.out.partition("Commands:\n")[2].partition("\n\n")[0]
    assert [line.split()[0] for line in listed.splitlines()] == COMMANDS
    assert [name for name in COMMANDS if name in ("finetune", "compress", "export", "quantize", "evaluate")] == [
        "finetune",
        "compress",
        "export",
        "quantize",
        "evaluate",
    ]
    assert "..." not in listed, "a short help that is cut off helps nobody"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example_and_its_defaults(replank: Replank, command: str) -> None:
    done = replank(command, "--help")
    assert (done.code, done.err) == (0, "")
    assert f"Example:\n    replank {command}" in done.out
    text = " ".join(done.out.split())
    for option in cli.commands[command].params:
        if not isinstance(option, click.Option) or option.name == "help":
            continue
        assert option.help, option.name
        assert f"REPLANK_{command.upper()}_{str(option.name).upper()}" in text.replace(" ", "")
        if isinstance(option.default, (int, float, str)) and not option.is_flag:
            assert f"default: {option.default}" in text.replace("_ ", "_"), option.name


def defaults(command: str) -> dict[str, Any]:
    """What a command gets when no flag is given."""
    return cli.commands[command].make_context(command, [], resilient_parsing=True).params


@pytest.mark.parametrize(
    ("command", "config", "elsewhere"),
    [
        ("finetune", FinetuneConfig, {"warmup", "weight_decay"}),
        ("compress", TheseusConfig, {"warmup", "weight_decay", "schedule"}),
        ("compress", LinearSchedule, set()),
        ("export", ExportConfig, set()),
        ("quantize", DynamicInt8, set()),
        ("serve", ServeConfig, set()),
        ("benchmark", BenchmarkConfig, {"models", "min_seconds", "min_iterations", "warmup", "seed"}),
    ],
)
def test_the_defaults_are_those_of_python(command: str, config: Any, elsewhere: set[str]) -> None:
    known = defaults(command)
    for field in fields(config):
        if field.name not in elsewhere:
            assert field.default is not MISSING
            assert known[field.name] == field.default, field.name


@pytest.mark.parametrize("command", ["finetune", "compress", "export", "quantize", "run", "evaluate", "verify"])
def test_the_data_flags_are_the_data_configuration(command: str) -> None:
    known = defaults(command)
    assert {field.name: known[field.name] for field in fields(DataConfig)} == {
        field.name: field.default for field in fields(DataConfig)
    }


def test_no_arguments_show_the_help(replank: Replank) -> None:
    done = replank()
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("Usage: replank [OPTIONS] COMMAND [ARGS]...")


# Usage: exit code 2


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (["finetun"], "No such command 'finetun'. Did you mean 'finetune'?", "replank --help"),
        (["predict"], "Missing argument 'MODEL'.", "replank predict --help"),
        (["inspect", "a", "b"], "Got unexpected extra argument (b)", "replank inspect --help"),
        (["finetune", "a", "b", "--epoch", "1"], "No such option '--epoch'. Did you mean '--epochs'?", None),
        (["finetune", "a", "b", "--epochs", "x"], "Invalid value for '--epochs': 'x' is not a valid float.", None),
        (["compress", "a", "b", "--layers", "0"], "Invalid value for '--layers': 0 is not in the range x>=1.", None),
        (["predict", "a", "--device", "tpu"], "'--device': 'tpu' is not one of 'cpu', 'cuda'.", None),
        (["finetune", "a", "b", "--task", "sst3"], "unknown task 'sst3'", "did you mean --task sst2?"),
        (["finetune", "a", "b", "--text-pair", "x", "--data", "d"], "--text-pair needs --text", None),
        (["finetune", "ENCODER", "OUT"], "no data given", "--task NAME (GLUE), --task NAME --data FOLDER, or"),
        (["finetune", "ENCODER", "OUT", "DATA", "--epochs", "0"], "--epochs is 0.0; expected more than 0", None),
        (["finetune", "ENCODER", "FULL", "DATA"], "FULL is not empty", "choose another folder, or replace it with"),
        (["finetune", "ENCODER", "ENCODER", "DATA", "--force"], "ENCODER is the model itself", None),
        (
            ["compress", "PREDECESSOR", "OUT", "DATA", "--layers", "3"],
            "--layers 3 does not divide",
            "choose one of 2, 1",
        ),
        (["export", "PREDECESSOR", "OUT", "--opset", "11"], "--opset is 11; expected 17 to 20", None),
        (["quantize", "ONNX", "OUT", "--max-drop", "nan"], "--max-drop is nan; expected a fraction", None),
        (["predict", "PAIRS", "one text"], "1 texts for a task of pairs; expected them in twos", None),
        (["evaluate", "ONNX"], "no data given", None),
        (["export", "PREDECESSOR", "OUT", "--max-length", "9"], "no data given", "--task NAME (GLUE)"),
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


def test_a_variable_that_is_wrong_is_named(replank: Replank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLANK_FINETUNE_EPOCHS", "many")
    done = replank("finetune", "a", "b")
    assert done.code == 2
    assert error_lines(done) == [
        "error: Invalid value for '--epochs': 'many' is not a valid float.",
        "hint: the value comes from the variable REPLANK_FINETUNE_EPOCHS",
    ]


def test_flags_win_over_variables_over_defaults(
    replank: Replank, monkeypatch: pytest.MonkeyPatch, onnx_artifact: Path
) -> None:
    monkeypatch.setenv("REPLANK_PREDICT_AS_JSON", "1")
    monkeypatch.setenv("REPLANK_PREDICT_DEVICE", "cuda")
    assert replank("predict", onnx_artifact, "a").code == 1
    assert json.loads(replank("predict", onnx_artifact, "a", "--device", "cpu").out)["text"] == "a"


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
        ("finetune encoder out --train no.tsv --dev good.tsv", "there is no file no.tsv", None),
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
    def fail(name: str) -> None:
        raise RuntimeError(f"first line of {name}\n   second line")

    monkeypatch.setattr("replank.cli.checks.open_source", fail)
    done = replank("inspect", "x")
    assert done.code == 1
    assert error_lines(done) == [
        "error: unexpected RuntimeError: first line of x second line",
        "hint: replank --debug COMMAND … shows the traceback",
    ]


@pytest.mark.parametrize("settings", [{"flag": ["--debug"]}, {"env": {"REPLANK_DEBUG": "1"}}])
def test_debug_shows_where_it_happened(tmp_path: Path, settings: dict[str, Any]) -> None:
    environment = os.environ | settings.get("env", {})
    done = run_replank(*settings.get("flag", []), "inspect", "no/such/folder", env=environment, cwd=tmp_path)
    assert done.code == 1
    assert done.err.startswith("where it happened:\nTraceback (most recent call last):\n")
    assert done.err.splitlines()[-2:] == [
        "error: there is no folder no/such/folder",
        "hint: expected a model folder or the name of a hub model",
    ]


def test_the_end_of_a_file_is_no_interruption(replank: Replank, monkeypatch: pytest.MonkeyPatch) -> None:
    """A truncated checkpoint raises EOFError, which click takes for Ctrl-D."""

    def fail(name: str) -> None:
        raise EOFError("Ran out of input")

    monkeypatch.setattr("replank.cli.checks.open_source", fail)
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
    def fail(name: str) -> None:
        if not wrapped:
            raise error
        try:
            raise error
        except Exception as cause:
            raise ValueError("something else") from cause

    monkeypatch.setattr("replank.cli.checks.open_source", fail)
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


# Data on stdout, talk on stderr


def test_inspect_tells_people_and_programs_the_same(replank: Replank, int8_artifact: Path) -> None:
    artifact = Artifact.open(int8_artifact)
    told = replank("inspect", int8_artifact)
    assert (told.code, told.err) == (0, "")
    assert "onnx int8, bert, 2 layers" in told.out
    assert artifact.manifest.digest in told.out
    for stage in ("finetune:", "compress:", "export:", "quantize:"):
        assert stage in told.out
    facts = json.loads(replank("inspect", int8_artifact, "--json").out)
    assert facts["digest"] == artifact.manifest.digest
    assert facts["manifest"] == artifact.manifest.to_json()
    assert facts["task"]["labels"] == ["negative", "positive"]


def test_evaluate_prints_data_only(replank: Replank, onnx_artifact: Path, data: DataConfig) -> None:
    quality = Artifact.open(onnx_artifact).manifest.quality
    assert quality is not None
    done = replank("evaluate", onnx_artifact, "--data", data.data, "--split", "test", "--json")
    assert json.loads(done.out) == {"model": str(onnx_artifact)} | quality
    assert done.err == "evaluate on test: 64/64 after 0 s\n"
    table = replank("evaluate", onnx_artifact, "--data", data.data, "--split", "test").out.splitlines()
    assert table[0] == f"{onnx_artifact} on test, 64 rows"
    assert [line.split() for line in table[1:]] == [
        [name, f"{value:.4f}"] for name, value in quality["metrics"].items()
    ]


def test_doctor(replank: Replank) -> None:
    checks = json.loads(replank("doctor", "--json").out)
    told = replank("doctor")
    assert (told.code, told.err) == (0, "")
    for check in checks:
        assert check["status"] in ("ok", "warning")
        assert check["detail"].split()[0] in told.out


def test_brackets_in_hints_are_no_markup(replank: Replank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("replank.environment.installed_version", lambda package: None)
    done = replank("doctor")
    assert done.code == 1
    assert 'hint: pip install "replank[cpu]" or "replank[gpu]"' in done.out


# Predictions


def predictions(done: Done) -> list[dict[str, Any]]:
    """One JSON object a line."""
    assert (done.code, done.err) == (0, "")
    return [json.loads(line) for line in done.out.removesuffix("\n").split("\n")]


def test_texts_as_arguments(replank: Replank, int8_artifact: Path) -> None:
    done = replank("predict", int8_artifact, "a good film", "a bad film")
    assert (done.code, done.err) == (0, "")
    rows = [line.split("\t") for line in done.out.splitlines()]
    assert [(row[0], row[2]) for row in rows] == [("positive", "a good film"), ("negative", "a bad film")]
    assert all(0.5 <= float(row[1]) <= 1 for row in rows)


def test_json_holds_every_label_with_its_probability(replank: Replank, int8_artifact: Path) -> None:
    (answer,) = predictions(replank("predict", int8_artifact, "a good film", "--json"))
    assert (answer["text"], answer["label"]) == ("a good film", "positive")
    logits = load_model(open_source(int8_artifact)).logits(["a good film"])[0].astype(float)
    expected = np.exp(logits) / np.exp(logits).sum()
    assert list(answer["scores"]) == ["positive", "negative"]
    assert [answer["scores"][label] for label in ("negative", "positive")] == pytest.approx(list(expected), abs=1e-6)


def test_lines_of_stdin(replank: Replank, int8_artifact: Path) -> None:
    lines = "a good film\r\n\na bad film"
    rows = [line.split("\t") for line in replank("predict", int8_artifact, stdin=lines.encode()).out.splitlines()]
    assert [(row[0], row[2]) for row in (rows[0], rows[2])] == [("positive", "a good film"), ("negative", "a bad film")]
    assert rows[1][2] == ""


def test_many_lines_of_stdin_keep_their_order(replank: Replank, int8_artifact: Path) -> None:
    texts = [f"{'good' if row % 3 else 'bad'} film {'very ' * (row % 7)}" for row in range(600)]
    answers = predictions(replank("predict", int8_artifact, "--json", stdin="\n".join(texts).encode()))
    assert [answer["text"] for answer in answers] == texts
    right = [answer["label"] == ("positive" if row % 3 else "negative") for row, answer in enumerate(answers)]
    assert np.mean(right) > 0.9


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b'"a \\"good\\" film\\n"', 'a "good" film\n'),
        (b'["one text"]', "one text"),
        (b'"unclosed', '"unclosed'),
        (b"[1, 2]", "[1, 2]"),
        (b"[]", "[]"),
        (b'{"text": "a"}', '{"text": "a"}'),
        (b'"\\ud83d half"', "\ufffd half"),
        (b"\xef\xbb\xbfmarked", "marked"),
        (b"caf\xe9 \xff", "caf\ufffd \ufffd"),
        (b"nul \0 byte", "nul \0 byte"),
        (b"", ""),
        (b"   ", "   "),
        ("🚢 \u2028 ünïcode".encode(), "🚢 \u2028 ünïcode"),
        (b"tab\tin it", "tab\tin it"),
        (b"good " * 50_000, "good " * 50_000),
    ],
)
def test_odd_lines_of_stdin(replank: Replank, int8_artifact: Path, line: bytes, text: str) -> None:
    (answer,) = predictions(replank("predict", int8_artifact, "--json", stdin=line + b"\n"))
    assert answer["text"] == text
    assert sum(answer["scores"].values()) == pytest.approx(1)


def test_nothing_on_stdin_is_no_answer(replank: Replank, int8_artifact: Path) -> None:
    assert replank("predict", int8_artifact) == Done(0, "", "")


def test_texts_that_are_not_utf8(int8_artifact: Path) -> None:
    """Bytes that the system hands over as half characters, through a real process."""
    done = run_replank("predict", int8_artifact, os.fsdecode(b"caf\xe9"), "--json")
    assert predictions(done)[0]["text"] == "caf\ufffd"


def test_an_answer_is_one_line_and_commands_no_terminal(replank: Replank, int8_artifact: Path) -> None:
    done = replank("predict", int8_artifact, "one\ntwo\tthree\r\x1b[31m\0\u2028\x85four")
    assert done.code == 0
    (row,) = done.out.removesuffix("\n").split("\n")
    assert row.split("\t")[2] == "one two three  [31m   four"


def test_pairs(replank: Replank, pair_onnx_artifact: Path) -> None:
    model = load_model(open_source(pair_onnx_artifact))
    expected = [model.task.labels[index] for index in model.logits(["a", "c"], ["b", "d"]).argmax(axis=1)]
    ways = (
        replank("predict", pair_onnx_artifact, "a", "b", "c", "d", "--json"),
        replank("predict", pair_onnx_artifact, "--json", stdin=b'a\tb\n["c", "d"]\n'),
    )
    for done in ways:
        answers = predictions(done)
        assert [answer["text"] for answer in answers] == [["a", "b"], ["c", "d"]]
        assert [answer["label"] for answer in answers] == expected
    told = replank("predict", pair_onnx_artifact, "a", "b").out.removesuffix("\n").split("\t")
    assert told[2:] == ["a", "b"]


@pytest.mark.parametrize(("line", "number"), [(b"alone", 1), (b'["a"]', 1), (b'["a", "b", "c"]', 3), (b'"a"', 1)])
def test_what_is_no_pair_is_named_by_line(replank: Replank, pair_onnx_artifact: Path, line: bytes, number: int) -> None:
    done = replank("predict", pair_onnx_artifact, stdin=b"a\tb\n" + line)
    assert done.code == 1
    assert error_lines(done) == [
        f"error: line 2 of stdin holds {number} of the 2 texts that the task takes",
        'hint: a pair is two texts with a tab between, or ["first", "second"]',
    ]


def test_two_texts_are_not_one(replank: Replank, int8_artifact: Path) -> None:
    done = replank("predict", int8_artifact, stdin=b'["a", "b"]')
    assert done.code == 1
    assert error_lines(done) == ["error: line 1 of stdin holds 2 of the 1 texts that the task takes"]


def test_a_terminal_as_stdin_is_asked_for_texts(
    int8_artifact: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    with pytest.raises(SystemExit) as end:
        main(["predict", str(int8_artifact)])
    assert end.value.code == 2
    assert capsys.readouterr().err.splitlines()[0] == "error: no text given"


def test_truncation_is_said_on_stderr(onnx_artifact: Path) -> None:
    done = run_replank("predict", onnx_artifact, "good " * 100, "bad " * 100)
    assert (done.code, len(done.out.splitlines())) == (0, 2)
    assert done.err == "texts longer than 32 tokens are truncated (said once)\n"


@pytest.mark.parametrize("stream", [0, 1, 2])
def test_a_closed_stream_is_no_reason_to_fail(onnx_artifact: Path, stream: int) -> None:
    """As a supervisor may start it."""
    done = run_replank("predict", onnx_artifact, "good", preexec_fn=partial(os.close, stream))
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("positive") == (stream != 1)


def test_a_reader_that_goes_away_gets_no_traceback(onnx_artifact: Path) -> None:
    with replank_process("predict", onnx_artifact, *["good"] * 100) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


# Ctrl-C


def test_an_interrupted_training_resumes_and_finishes(
    replank: Replank, caplog: pytest.LogCaptureFixture, encoder: Path, data: DataConfig, tmp_path: Path
) -> None:
    command = ["finetune", encoder, tmp_path / "out", "--data", data.data, "--epochs", 10, "--batch-size", 8]
    with replank_process(*command) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("out.work/checkpoint-*/trainer_state.json")):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[0] == "stopping after this step, with a checkpoint; again to stop at once"
    assert err.splitlines()[-1] == "interrupted; the same command goes on where it can"
    assert [path.name for path in tmp_path.iterdir()] == ["out.work"]
    newest = max(tmp_path.glob("out.work/checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    assert int(newest.name.rpartition("-")[2]) < 240, "the training had ended already"

    done = replank(*command, "--json")
    assert done.code == 0, done.err
    assert caplog.messages[0] == f"resuming from {newest}"
    assert json.loads(done.out)["made_by"]["steps"] == 240
    assert Artifact.open(tmp_path / "out").manifest.digest == json.loads(done.out)["digest"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_while_nothing_is_at_stake(tmp_path: Path, onnx_artifact: Path, number: int) -> None:
    """Waiting for the first line of stdin."""
    reading, writing = os.pipe()
    with replank_process("predict", onnx_artifact, stdin=reading, cwd=tmp_path) as process:
        time.sleep(1)
        process.send_signal(number)
        out, err = process.communicate()
    os.close(writing)
    os.close(reading)
    assert (process.returncode, out, err.strip()) == (130, "", "interrupted; the same command goes on where it can")

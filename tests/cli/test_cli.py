"""The command line as a person meets it first: help, defaults, and what is told to a program."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import click
import pytest

from commands import Replank, error_lines
from replank.benchmark.run import BenchmarkConfig
from replank.cli.main import cli
from replank.data.examples import DataConfig
from replank.models.artifact import Artifact
from replank_compress.methods.kd import KdConfig
from replank_compress.methods.pkd import PkdConfig
from replank_compress.methods.schedule import ConstantSchedule, LinearSchedule
from replank_compress.methods.theseus import TheseusConfig
from replank_compress.methods.truncate import TruncateConfig
from replank_compress.training.config import FinetuneConfig
from replank_export.convert import ExportConfig
from replank_export.int8 import DynamicInt8
from replank_serve.app import ServeConfig

COMMANDS = list(cli.commands)


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
        ("compress", TruncateConfig, {"warmup", "weight_decay", "learning_rate", "init_layers"}),
        ("export", ExportConfig, set()),
        ("quantize", DynamicInt8, set()),
        ("serve", ServeConfig, {"api_keys", "loader"}),
        # A person wants ratios that are known, and waits for them; a program says how many rounds.
        (
            "benchmark",
            BenchmarkConfig,
            {"models", "texts", "max_seconds", "min_seconds", "min_iterations", "warmup", "seed"},
        ),
    ],
)
def test_the_defaults_are_those_of_python(command: str, config: Any, elsewhere: set[str]) -> None:
    known = defaults(command)
    for field in fields(config):
        if field.name not in elsewhere:
            assert field.default is not MISSING
            assert known[field.name] == field.default, field.name


@pytest.mark.parametrize("config", [TheseusConfig, LinearSchedule, KdConfig, PkdConfig])
def test_the_help_tells_the_defaults_of_each_method(config: Any) -> None:
    """They are no defaults of the command, for an option of another method is refused."""
    options = {option.name: option for option in cli.commands["compress"].params if isinstance(option, click.Option)}
    own = {field.name: field.default for field in fields(config)}
    for name in own.keys() - {field.name for field in fields(TruncateConfig)} - {"schedule"}:
        assert defaults("compress")[name] is None
        shown = f"{own[name]:g}" if isinstance(own[name], float) else own[name]
        assert f"[default: {shown}" in str(options[name].help), name
    if config is TheseusConfig:
        shown = f"[default: theseus {own['learning_rate']:g}, others {TruncateConfig().learning_rate:g}]"
        assert shown in str(options["learning_rate"].help)
        shown = f"[default: theseus {own['init_layers']}, others {TruncateConfig().init_layers}]"
        assert shown in str(options["init_layers"].help)
    if config is LinearSchedule:
        assert f"; constant {ConstantSchedule().base_rate:g}]" in str(options["base_rate"].help)


@pytest.mark.parametrize(
    ("flags", "message", "hint"),
    [
        ("--method kd --base-rate 0.3", "--base-rate is an option of --method theseus, not of kd", None),
        ("--temperature 3", "--temperature is an option of --method kd and pkd, not of theseus", None),
        ("--grouping 2,x", "'2,x' is no list of sizes", "replank compress --help"),
        ("--grouping 2,3", "--grouping is 2, 3; expected sizes of 1 or more that add up to 4", None),
        (
            "--layers 3",
            "--layers is 3; expected a divisor of 4, the predecessor's layers: 2, 1",
            "groups of unequal size work too: --grouping 1,1,2",
        ),
        ("--ramp 1000", "the replacing rate never reaches 1", "choose a shorter --ramp"),
        (
            "--method truncate --init-from nowhere/at/all",
            "there is no folder nowhere/at/all",
            "expected a model folder",
        ),
    ],
)
def test_methods_on_the_command_line(
    replank: Replank, predecessor: Path, data: DataConfig, tmp_path: Path, flags: str, message: str, hint: str | None
) -> None:
    given = ("--data", data.data, "--text", "sentence", "--task", "sentiment", *flags.split())
    done = replank("compress", predecessor, tmp_path / "out", *given)
    lines = error_lines(done)
    assert done.code == (1 if "nowhere" in flags else 2)
    assert message in lines[0]
    assert hint is None or hint in lines[1]
    assert not (tmp_path / "out").exists()


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
        assert check["status"] in ("ok", "absent", "warning")
        assert check["detail"].split()[0] in told.out


def test_brackets_in_hints_are_no_markup(replank: Replank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("replank.runtime.providers.installed_version", lambda package: None)
    done = replank("doctor")
    assert done.code == 1
    assert 'hint: pip install "replank[cpu]" or "replank[gpu]"' in done.out

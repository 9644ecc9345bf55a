"""The command line as a person meets it first: help, defaults, and what is told to a program."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest

from commands import Replank, error_lines
from replank.benchmarking.config import BenchmarkConfig
from replank.cli.config_options import config_of, variant_of
from replank.cli.main import COMMANDS, SECTIONS, command_named
from replank.data.config import DataConfig
from replank.models.artifact import Artifact
from replank.system.settings import settings_of
from replank.system.typed_json import json_values
from replank_compress.methods import METHODS
from replank_compress.methods.kd import KdConfig
from replank_compress.methods.pkd import PkdConfig
from replank_compress.methods.schedule import ConstantSchedule
from replank_compress.methods.theseus import TheseusConfig
from replank_compress.training.config import FinetuneConfig
from replank_export.convert import ExportConfig
from replank_export.schemes import SCHEMES
from replank_serve.http.config import ServeConfig

# Help and defaults


def test_the_commands_stand_under_headings_in_the_order_of_the_chain(replank: Replank) -> None:
    done = replank("--help")
    assert done.code == 0
    for heading, commands in SECTIONS.items():
        listed = done.out.partition(f"\n{heading}:\n")[2].partition("\n\n")[0]
        assert [line.split()[0] for line in listed.splitlines()] == list(commands)
        assert [line.split(maxsplit=1)[1] for line in listed.splitlines()] == list(commands.values())
    assert "REPLANK_QUANTIZE_MAX_DROP" in done.out, "variables are stated once, as a rule"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_an_example_and_its_options(replank: Replank, name: str) -> None:
    done = replank(name, "--help")
    assert (done.code, done.err) == (0, "")
    assert f"Example:\n    replank {name}" in done.out
    text = " ".join(done.out.split())
    for option in command_named(name).params:
        if isinstance(option, click.Option) and option.name != "help":
            assert option.help, option.name
            assert option.opts[0] in text
    assert "REPLANK_" not in text.replace("REPLANK_API_KEY", "").replace("REPLANK_ADMIN_KEY", "")


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("push", "report", "triton", "loadtest")])
def test_data_options_stand_under_one_heading(name: str) -> None:
    headings = {option.name: getattr(option, "heading", None) for option in command_named(name).params}
    for setting in settings_of(DataConfig):
        assert headings.get(setting.name, "Data") == "Data" or name in ("batch", "benchmark"), setting.name


CONFIGS: list[tuple[str, Any]] = [
    ("finetune", FinetuneConfig),
    ("export", ExportConfig),
    ("serve", ServeConfig),
    ("benchmark", BenchmarkConfig),
    *(("compress", method) for method in METHODS.values()),
    *(("quantize", scheme) for scheme in SCHEMES.values()),
]


@pytest.mark.parametrize(("name", "config"), CONFIGS)
def test_every_setting_has_an_option_and_the_default_of_python(name: str, config: Any) -> None:
    options = {option.name: option for option in command_named(name).params}
    for setting in settings_of(config):
        assert options[setting.name].default is None, "the configuration itself holds the default"
    assert config_of(config, {}) == config() if name != "benchmark" else True


def test_the_help_tells_the_defaults_of_each_method(replank: Replank) -> None:
    text = " ".join(replank("compress", "--help").out.split())
    assert (
        f"theseus, kd, pkd, refbert: Temperature of the predecessor's answers. [default: {KdConfig().temperature:g}]"
        in text
    )
    weight = PkdConfig().patient_weight
    assert f"pkd: Weight of the distance between hidden states in the loss. [default: {weight:g}]" in text
    assert f"constant {ConstantSchedule().base_rate:g}" in text


def test_a_value_reaches_its_configuration() -> None:
    values = {"layers": 2, "schedule": "constant", "base_rate": 0.4, "grouping": None}
    config = variant_of("method", METHODS, "theseus", values)
    assert config == TheseusConfig(layers=2, schedule=ConstantSchedule(base_rate=0.4))


@pytest.mark.parametrize(
    ("flags", "message", "hint"),
    [
        ("--method kd --base-rate 0.3", "--base-rate is a setting of --method theseus, not of kd", None),
        (
            "--method truncate --temperature 3",
            "--temperature is a setting of --method theseus, --method kd, --method pkd, --method refbert, "
            "not of truncate",
            None,
        ),
        ("--grouping 2,x", "'2,x': expected whole numbers with commas between", "replank compress --help"),
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
    given = ("--data", data.data, "--text", "sentence", "--dataset", "sentiment", *flags.split())
    done = replank("compress", predecessor, tmp_path / "out", *given)
    lines = error_lines(done)
    assert done.code == (1 if "nowhere" in flags else 2)
    assert message in lines[0]
    assert hint is None or hint in lines[1]
    assert not (tmp_path / "out").exists()


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
    for stage in ("finetune:", "compress (theseus):", "export:", "quantize ("):
        assert stage in told.out
    facts = json.loads(replank("inspect", int8_artifact, "--json").out)
    assert facts["digest"] == artifact.manifest.digest
    assert facts["manifest"] == artifact.manifest.to_json()
    assert facts["task"]["labels"] == ["negative", "positive"]


def test_evaluate_prints_data_only(replank: Replank, onnx_artifact: Path, data: DataConfig) -> None:
    quality = Artifact.open(onnx_artifact).manifest.quality
    assert quality is not None
    done = replank("evaluate", onnx_artifact, "--data", data.data, "--split", "test", "--json")
    assert json.loads(done.out) == {"model": str(onnx_artifact)} | json_values(quality)
    assert done.err == "evaluate on test: 64/64 after 0 s\n"
    table = replank("evaluate", onnx_artifact, "--data", data.data, "--split", "test").out.splitlines()
    assert table[0] == f"{onnx_artifact} on test, 64 rows"
    assert [line.split() for line in table[1:]] == [[name, f"{value:.4f}"] for name, value in quality.metrics.items()]


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

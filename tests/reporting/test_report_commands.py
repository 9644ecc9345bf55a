"""The commands of a report: each can be typed, and gives the same settings again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest

from chain_folder import STAGES, change
from replank.cli.config_options import config_of, variant_of
from replank.cli.main import cli, command_named
from replank.models.artifact import Artifact
from replank.models.provenance import config_json, variant_name
from replank.reporting.commands import _ON_BY_DEFAULT, commands
from replank.reporting.facts import read_facts
from replank.reporting.markdown import to_markdown
from replank.reporting.sections import document
from replank.system.settings import settings_of
from replank_compress.methods import METHODS
from replank_compress.methods.kd import KdConfig
from replank_compress.methods.pkd import PkdConfig
from replank_compress.methods.schedule import SCHEDULES, ConstantSchedule
from replank_compress.methods.theseus import TheseusConfig
from replank_compress.methods.truncate import TruncateConfig
from replank_compress.training.config import FinetuneConfig
from replank_export.convert import ExportConfig
from replank_export.int8 import DynamicInt8, StaticInt8
from replank_export.integer.config import IntegerInt8
from replank_export.schemes import SCHEMES


def test_its_commands_can_be_typed(folder: Path) -> None:
    """Each is taken by the very command that it names, with the settings of the manifest."""
    change(folder / "int8", lambda manifest: manifest["made_by"]["config"].update(per_channel=False))
    text = to_markdown(document(read_facts(folder)))
    lines = [shlex.split(line) for line in text.splitlines() if line.startswith("    replank ")]
    assert [line[1] for line in lines] == ["finetune", "compress", "export", "quantize"]
    for line, name in zip(lines, STAGES, strict=True):
        values, config = parsed(line)
        assert values["out"] == Path(name)
        assert (values["dataset"], values["task"]) == ("sentiment", "classification")
        assert config_json(config) == Artifact.open(folder / name).manifest.made_by.config


def parsed(line: list[str]) -> tuple[dict[str, Any], Any]:
    """The values of a command line, and the configuration that the command makes of them."""
    name = line[1]
    with click.Context(cli) as parent:
        values = command_named(name).make_context(name, line[2:], parent=parent).params
    if name == "compress":
        return values, variant_of("method", METHODS, values["method"], values)
    if name == "quantize":
        return values, variant_of("scheme", SCHEMES, values["scheme"], values)
    return values, config_of({"finetune": FinetuneConfig, "export": ExportConfig}[name], values)


@pytest.mark.parametrize(
    ("stage", "config"),
    [
        ("finetune", FinetuneConfig(patience=2, checkpoint_activations=True)),
        ("compress", TheseusConfig(grouping=(1, 3), schedule=ConstantSchedule(), second_phase="head")),
        ("compress", TruncateConfig(layers=2)),
        ("compress", KdConfig(temperature=3.0)),
        ("compress", PkdConfig(patient_layers="last")),
        ("export", ExportConfig(precision="fp16", allow_unfused=True)),
        ("quantize", DynamicInt8(per_channel=False, allow_slower=True)),
        ("quantize", StaticInt8(calibration="entropy")),
        ("quantize", IntegerInt8(integer_target="cuda", calibration_rows=64)),
    ],
)
def test_every_configuration_has_a_command(folder: Path, stage: str, config: Any) -> None:
    """Its flags give the same configuration again, as far as the command has them."""
    last = read_facts(folder).stages[-1]
    made_by = replace(last.manifest.made_by, stage=stage, config=config_json(config))
    made = replace(last, manifest=replace(last.manifest, made_by=made_by))
    assert parsed(shlex.split(commands([made])[0]))[1] == config


@pytest.mark.parametrize("registry", [METHODS, SCHEMES, SCHEDULES])
def test_the_name_of_a_variant_follows_from_its_type(registry: Mapping[str, type]) -> None:
    assert [variant_name(variant.__name__) for variant in registry.values()] == list(registry)


def test_settings_that_are_on_by_default_are_known() -> None:
    """They alone need a flag where they are off."""
    configs: list[Any] = [FinetuneConfig, ExportConfig, *METHODS.values(), *SCHEMES.values(), *SCHEDULES.values()]
    assert {entry.name for config in configs for entry in settings_of(config) if entry.default is True} == set(
        _ON_BY_DEFAULT
    )

"""The report: what it says of a chain, that any text is only text, and that its commands can be typed."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import click
import pytest

from commands import Replank, error_lines
from replank.cli.config_options import config_of, variant_of
from replank.cli.main import cli, command_named
from replank.models.artifact import Artifact
from replank.models.manifest import MANIFEST, Manifest, manifest_text
from replank.models.provenance import config_json, variant_name
from replank.reporting.commands import _ON_BY_DEFAULT, commands
from replank.reporting.facts import read_facts
from replank.reporting.markdown import to_markdown
from replank.reporting.page import to_page
from replank.reporting.sections import document
from replank.reporting.write import write_report
from replank.system.settings import settings_of
from replank.tasks.task import Task
from replank_compress.methods import METHODS
from replank_compress.methods.kd import KdConfig
from replank_compress.methods.pkd import PkdConfig
from replank_compress.methods.schedule import SCHEDULES, ConstantSchedule
from replank_compress.methods.theseus import TheseusConfig
from replank_compress.methods.truncate import TruncateConfig
from replank_compress.training.config import FinetuneConfig
from replank_export.convert import ExportConfig
from replank_export.int8 import SCHEMES, DynamicInt8, StaticInt8

HOSTILE = "<script>alert('x')</script>"
STAGES = ("predecessor", "successor", "onnx", "int8")


@pytest.fixture
def folder(predecessor: Path, successor: Path, onnx_artifact: Path, int8_artifact: Path, tmp_path: Path) -> Path:
    """The four artifacts of a chain, with the comparison that ``run`` would leave."""
    for artifact in (predecessor, successor, onnx_artifact, int8_artifact):
        shutil.copytree(artifact, tmp_path / artifact.name)
    (tmp_path / "summary.json").write_text(json.dumps(summary(tmp_path)), encoding="utf-8")
    return tmp_path


def metrics_of(artifact: Artifact) -> dict[str, float]:
    assert artifact.manifest.quality is not None
    return artifact.manifest.quality.metrics


def summary(folder: Path) -> dict[str, Any]:
    artifacts = [Artifact.open(folder / name) for name in STAGES]
    made_by = artifacts[-1].manifest.made_by
    return {
        "task": artifacts[0].manifest.task.to_json(),
        "split": "test",
        "rows": 64,
        "length": 9,
        "disturbed": True,
        "machine": asdict(made_by.machine),
        "versions": made_by.versions,
        "models": [
            {
                "name": f"the {artifact.path.name}",
                "folder": artifact.path.name,
                "metrics": metrics_of(artifact),
                "bytes": artifact.model_file.stat().st_size,
                "p50_ms": 8.0 / 2**number,
                "speed_up": 2.0**number,
            }
            for number, artifact in enumerate(artifacts)
        ],
    }


def change(artifact: Path, change_manifest: Any) -> None:
    """Another manifest in place of an artifact's."""
    values = Artifact.open(artifact).manifest.to_json()
    change_manifest(values)
    (artifact / MANIFEST).write_text(manifest_text(Manifest.from_json(values).to_json()), encoding="utf-8")


class Page(HTMLParser):
    """Which elements a page has, which addresses it names, and what a reader sees."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.seen: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attributes if name in ("src", "href", "data", "action")]

    def handle_data(self, data: str) -> None:
        self.seen.append(data)


def test_a_report_says_what_was_made(folder: Path) -> None:
    page = write_report(folder)
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert page == folder / "report.html"
    sections = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert sections == [
        "Quality", "Size and speed", "Quality against speed", "Lineage", "Training", "Verification", "INT8: int8",
        "Machine", "To repeat it",
    ]  # fmt: skip
    seen = "".join(Page(page.read_text(encoding="utf-8")).seen)
    for section in sections:
        assert section in seen
    for name in STAGES:
        artifact = Artifact.open(folder / name)
        assert artifact.manifest.digest[:12] in text
        assert f"| the {name} | {metrics_of(artifact)['accuracy']:.4f} |" in text
    first, last = Artifact.open(folder / "predecessor"), Artifact.open(folder / "int8")
    size = last.model_file.stat().st_size / first.model_file.stat().st_size
    assert f"Result: the int8 is 8.0 times as fast as the predecessor, has {size:.0%} of its size and keeps " in text
    assert "| the int8 | " in text
    assert "1.00 | 1000.0 | 8.0x |" in text
    assert "The machine was busy" in text
    verification = Artifact.open(folder / "onnx").manifest.verification
    assert verification is not None
    for case in verification.cases:
        assert f"| {case.case} | {case.rows} | {case.max_abs:.1e} |" in text


def test_what_is_kept_is_of_the_first_model_on_the_same_rows(folder: Path) -> None:
    values = summary(folder)
    for model, accuracy in zip(values["models"], (0.8, 0.4, 0.6, 0.9), strict=True):
        model["metrics"] = {"accuracy": accuracy}
    (folder / "summary.json").write_text(json.dumps(values), encoding="utf-8")
    text = to_markdown(document(read_facts(folder)))
    assert "| the successor | 0.4000 | 50.0% | test, 64 |" in text
    assert "| the int8 | 0.9000 | 112.5% | test, 64 |" in text
    # Without the comparison, an artifact that was scored on other rows keeps nothing that can be said.
    (folder / "summary.json").unlink()
    change(folder / "int8", lambda manifest: manifest["quality"].update(data="other", metrics={"accuracy": 0.1}))
    assert re.search(r"\| int8 \| 0\.1000 \|.*\|  \| test, 64 \|", to_markdown(document(read_facts(folder))))


def test_the_page_stands_alone(folder: Path) -> None:
    text = write_report(folder).read_text(encoding="utf-8")
    page = Page(text)
    # Markers of the charts, which are in the page.
    assert page.addresses
    assert all(address.startswith("#") for address in page.addresses)
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert not re.search(r"url\((?!#)|@import", text)
    assert re.findall(r"https?://[^\s\"']+", text) == ["http://www.w3.org/2000/svg"] * page.tags.count("svg")
    assert page.tags.count("svg") == 3
    assert "@media print" in text
    assert "prefers-color-scheme:dark" in text


def test_any_text_is_only_text(folder: Path) -> None:
    def poison(manifest: dict[str, Any]) -> None:
        manifest["task"] |= {"name": HOSTILE, "labels": [HOSTILE, "a|b\n# c"], "columns": [f"x {HOSTILE}"]}
        manifest["made_by"]["kept_in_float"] = [{"node": HOSTILE, "operator": "a|b", "shape": [2, 3]}]

    change(folder / "int8", poison)
    values = summary(folder)
    values["models"][0]["name"] = HOSTILE
    values["task"]["metrics"] = [HOSTILE]
    (folder / "summary.json").write_text(json.dumps(values), encoding="utf-8")
    report = document(read_facts(folder))
    page, text = Page(to_page(report)), to_markdown(report)
    assert "script" not in page.tags
    assert "".join(page.seen).count(HOSTILE) >= 6
    # An indented block is code, in which nothing is HTML.
    assert not [line for line in text.splitlines() if "<" in line and not line.startswith("    replank ")]
    assert not re.search(r"^# c", text, re.MULTILINE)
    widths = {line.replace("\\|", "").count("|") for line in text.splitlines() if "a\\|b" in line and line[0] == "|"}
    assert widths == {4}


def test_a_benchmark_takes_the_place_of_the_comparison(folder: Path, onnx_artifact: Path, int8_artifact: Path) -> None:
    from replank.benchmarking.run import BenchmarkConfig, benchmark

    models = (str(onnx_artifact), str(int8_artifact))
    config = BenchmarkConfig(
        models, batch_sizes=(1, 2), lengths=(8,), rounds=2, min_seconds=0.0, max_seconds=0.0, threads=1
    )
    result = benchmark(config)
    (folder / "benchmark.json").write_text(json.dumps(result.to_json()), encoding="utf-8")
    text = to_markdown(document(read_facts(folder)))
    assert "1 text at a time, of 8 tokens each:" in text
    assert "2 texts at a time, of 8 tokens each:" in text
    assert f"{result.cells[2].ratio} |" in text
    assert text.count("| baseline |") == 2
    assert "accuracy against the latency of 1 x 8 tokens" in text
    other = folder.parent / f"{folder.name}.json"
    other.write_text(
        json.dumps(replace(result, models=(result.models[0], replace(result.models[1], task="other"))).to_json()),
        encoding="utf-8",
    )
    text = to_markdown(document(read_facts(folder, other)))
    assert "only their speed is compared" in text
    assert "Quality against speed" not in text


def test_providers_are_shown_where_they_are_kept(folder: Path) -> None:
    kept = {
        "machine": {"cpu": "a CPU", "architecture": "x86_64", "cores": 3, "instruction_sets": []},
        "versions": {},
        "threads": 3,
        "shapes": [[1, 16], [8, 64]],
        "milliseconds": {"cpu": [1.0, 2.0], "openvino": [0.5, 1.25]},
        "left_out": {"cuda": "is not here"},
        "choice": "openvino",
    }
    change(folder / "int8", lambda manifest: manifest.update(providers=kept))
    text = to_markdown(document(read_facts(folder)))
    assert "| openvino | 0.50 | 1.25 |" in text
    assert "Chosen on a CPU with 3 threads: openvino. cuda is left out: is not here." in text


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


def test_no_model_is_loaded(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from replank.reporting.write import write_report\n"
        "write_report(Path(sys.argv[1]))\n"
        "assert not {'torch', 'transformers', 'onnx', 'onnxruntime'} & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True)


def test_a_report_of_numbers(folder: Path) -> None:
    """A task without labels."""

    def regress(manifest: dict[str, Any]) -> None:
        manifest["task"] |= {"kind": "regression", "labels": [], "metrics": ["pearson"]}
        manifest["quality"]["metrics"] = {"pearson": -0.25}

    for name in STAGES:
        change(folder / name, regress)
    assert isinstance(Artifact.open(folder / "int8").manifest.task, Task)
    (folder / "summary.json").unlink()
    text = to_markdown(document(read_facts(folder)))
    assert "| predecessor | -0.2500 |  | test, 64 |" in text
    assert "No latency was measured" in text


def test_the_command_and_its_errors(folder: Path, replank: Replank, tmp_path_factory: pytest.TempPathFactory) -> None:
    done = replank("report", folder)
    assert (done.code, done.out.strip()) == (0, str(folder / "report.html"))
    empty = tmp_path_factory.mktemp("empty")
    assert "holds no artifact" in error_lines(replank("report", empty))[0]
    assert "is an artifact, whose files are sealed" in error_lines(replank("report", folder / "onnx"))[0]
    wrong = empty / "wrong.json"
    for content in ("{}", "[1]", '{"cells": []}', '{"cells": [{"p50_ms": 1}]}', "no JSON"):
        wrong.write_text(content, encoding="utf-8")
        assert "is no result that can be shown" in error_lines(replank("report", folder, "--benchmark", wrong))[0]
    assert "is no result that can be shown" in error_lines(replank("report", folder, "--benchmark", empty / "none"))[0]
    before = (folder / "report.html").read_bytes()
    (folder / "onnx" / "config.json").write_text("{}", encoding="utf-8")
    assert "is damaged" in error_lines(replank("report", folder))[0]
    assert (folder / "report.html").read_bytes() == before
    assert not list(folder.glob(".report*"))

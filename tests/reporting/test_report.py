"""The report: what it says of a chain, and that any text is only text."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import replank as interface
from chain_folder import STAGES, change, metrics_of, summary
from commands import Replank, error_lines
from replank.models.artifact import Artifact
from replank.reporting.facts import read_facts
from replank.reporting.markdown import to_markdown
from replank.reporting.page import to_page
from replank.reporting.sections import document
from replank.reporting.write import write_report
from replank.tasks.task import Task
from row_answers import right_or_wrong

HOSTILE = "<script>alert('x')</script>"


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
    assert re.search(r"^\| the predecessor \|.*\| 100\.0% \| test, 64 \|$", text, re.MULTILINE)
    # One seed; rows drawn again: the interval is that of `replank compare`.
    kept = interface.compare(folder / "successor", folder / "predecessor", predecessor=folder / "predecessor")
    accuracy = kept.metrics["accuracy"].kept_a
    assert accuracy is not None
    assert f"| {accuracy.value:.1%} ({accuracy.low:.1%} to {accuracy.high:.1%}) | test, 64 |" in text
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


def test_answers_that_cannot_be_compared_leave_a_part_without_interval(folder: Path) -> None:
    facts = read_facts(folder)
    for answers in (right_or_wrong([True]), None):  # one row, and a release that kept none
        stages = [replace(stage, answers=answers) for stage in facts.stages]
        text = to_markdown(document(replace(facts, stages=stages)))
        assert re.search(r"^\| the successor \|.*\| \d+\.\d% \| test, 64 \|$", text, re.MULTILINE)


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
        models, batch_sizes=(1, 2), lengths=(8,), rounds=2, min_seconds=0.0, max_seconds=0.0, threads=1, clock="wall"
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
    other.write_text(json.dumps(replace(result, clock="processor").to_json()), encoding="utf-8")
    text = to_markdown(document(read_facts(folder, other)))
    assert "Times are processor time (one thread), texts/s and ratios are of it." in text
    assert "p50 cpu ms" in text
    assert "accuracy against the processor time (one thread) of 1 x 8 tokens" in text
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

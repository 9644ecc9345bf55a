"""The search for the best model under a budget, against the truth: everything trained, everything measured."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from commands import Replank, error_lines
from replank.chain.budget import Budget
from replank.chain.result_cache import ResultCache
from replank.chain.search import search
from replank.chain.search_choice import FP32, int8_name
from replank.chain.search_plan import SearchPlan
from replank.chain.search_probes import Probes
from replank.chain.search_run import SearchRun
from replank.data.config import DataConfig
from replank.models.artifact import Artifact
from replank.models.int8_facts import Int8Facts
from replank.models.source import open_source
from replank.runtime.evaluate import evaluate
from replank.runtime.load import load_model
from replank.system.errors import QualityGateError, UsageError
from replank.system.locks import exclusive
from replank_compress.methods.theseus import TheseusConfig
from replank_compress.successor import compress
from replank_export.convert import ExportConfig, export
from replank_export.int8 import DynamicInt8, StaticInt8
from replank_export.schemes import quantize

INT8: dict[str, Any] = {"max_drop": 0.5, "allow_slower": True}
PLAN = SearchPlan(
    TheseusConfig(epochs=3, learning_rate=2e-3, batch_size=16, precision="fp32"),
    ExportConfig(),
    {int8_name("dynamic"): DynamicInt8(**INT8), int8_name("static"): StaticInt8(**INT8, calibration_rows=16)},
)


@dataclass(frozen=True)
class Truth:
    """A finished candidate."""

    dev: float
    model_bytes: int


@pytest.fixture(scope="module")
def everything(predecessor: Path, data: DataConfig, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Truth]:
    """All candidates in full, without any search."""
    out, dataset, found = tmp_path_factory.mktemp("everything"), data.load(None), {}
    for depth in (4, 2, 1):
        model = open_source(predecessor)
        if depth < 4:
            config = replace(PLAN.compress, layers=depth)
            model = open_source(compress(model, out / f"successor-{depth}", config, data).path)
        onnx = open_source(export(model, out / f"{depth}-{FP32}", PLAN.export, data).path)
        for name in PLAN.int8:
            quantize(onnx, out / f"{depth}-{name}", PLAN.int8[name], data)
        for name in (FP32, *PLAN.int8):
            source = open_source(out / f"{depth}-{name}")
            quality = evaluate(load_model(source), dataset, "dev")
            found[source.folder.name] = Truth(quality.metrics["accuracy"], source.model_file.stat().st_size)
    return found


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all budgets: what one search has made, the next finds."""
    return tmp_path_factory.mktemp("search")


@pytest.fixture(autouse=True)
def _quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever runs beside the tests: what was measured on a busy machine is measured again."""
    monkeypatch.setattr("replank.chain.costs.disturbance", lambda *_: None)


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, float]]]:
    """Depth and epochs of each training that is really done."""
    import replank_compress.successor

    done: list[tuple[int, float]] = []
    real = replank_compress.successor.compress

    def watched(source: Any, out: Path, config: Any, data: DataConfig) -> Artifact:
        done.append((config.layers, config.epochs))
        return real(source, out, config, data)

    monkeypatch.setattr(replank_compress.successor, "compress", watched)
    yield done


def best_within(everything: dict[str, Truth], max_bytes: int) -> str:
    within = {name: truth for name, truth in everything.items() if truth.model_bytes <= max_bytes}
    return max(within, key=lambda name: (within[name].dev, -within[name].model_bytes))


def run(predecessor: Path, out: Path, budget: Budget, data: DataConfig) -> dict[str, Any]:
    return search(open_source(predecessor), out, PLAN, budget, data).to_json()


@pytest.mark.parametrize("largest", ["1-int8-dynamic", "1-fp32", "2-int8-static", "4-fp32"])
def test_the_winner_is_that_of_trying_everything(
    predecessor: Path, out: Path, data: DataConfig, everything: dict[str, Truth], largest: str
) -> None:
    """Budgets of bytes, which no busy machine makes larger."""
    budget = Budget(max_bytes=everything[largest].model_bytes, length=16)
    result = run(predecessor, out, budget, data)
    assert result["winner"] == best_within(everything, everything[largest].model_bytes)
    entries = {entry["name"]: entry for entry in result["candidates"]}
    assert set(entries) == set(everything)
    for name, entry in entries.items():
        if entry["measured"]:
            truth = everything[name]
            assert (entry["dev"], entry["measured"]["model_bytes"]) == (truth.dev, truth.model_bytes)
        assert (name == result["winner"]) != bool(entry["why"])
    manifest = Artifact.open(out / "winner").manifest
    layers, _, precision = result["winner"].partition("-")
    assert manifest.digest == Artifact.open(out / layers / precision).manifest.digest
    assert json.loads((out / "search.json").read_text(encoding="utf-8")) == json.loads(json.dumps(result))


def test_what_cannot_win_is_not_trained_and_nothing_is_done_twice(
    predecessor: Path,
    data: DataConfig,
    everything: dict[str, Truth],
    tmp_path: Path,
    trainings: list[tuple[int, float]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only one layer keeps to the budget: one training, no short run; and none when started again."""
    budget = Budget(max_bytes=everything["1-int8-dynamic"].model_bytes, length=16)
    finish = SearchRun._finish

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(SearchRun, "_finish", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(predecessor, tmp_path, budget, data)
    assert json.loads((tmp_path / "search.json").read_text(encoding="utf-8"))["winner"] is None
    monkeypatch.setattr(SearchRun, "_finish", finish)
    first = run(predecessor, tmp_path, budget, data)
    assert trainings == [(1, 3)]
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.onnx")}
    assert run(predecessor, tmp_path, budget, data) == first
    assert trainings == [(1, 3)]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.onnx")} == written


@pytest.mark.parametrize(
    ("budget", "message", "cost"),
    [
        (
            Budget(max_latency_ms=1e-6),
            r"no candidate meets the budget of 1e-06 ms at 1x128; closest: .*: about .* ms",
            "p50_ms",
        ),
        (
            Budget(min_throughput=1e12, length=16),
            r"no candidate meets the budget of 1e\+12/s at 1x16; closest: ",
            "p50_ms",
        ),
        (
            Budget(max_bytes=1000, length=16),
            r"no candidate meets the budget of 0.001 MB; closest: 1-int8-.*: about .* MB",
            "model_bytes",
        ),
    ],
)
def test_an_impossible_budget_trains_nothing(
    predecessor: Path, data: DataConfig, tmp_path: Path, trainings: list[Any], budget: Budget, message: str, cost: str
) -> None:
    """The closest is the one of the least cost, whichever is the fastest on a machine with other work."""
    with pytest.raises(QualityGateError, match=message) as missed:
        run(predecessor, tmp_path, budget, data)
    assert trainings == []
    result = json.loads((tmp_path / "search.json").read_text(encoding="utf-8"))
    assert result["winner"] is None
    assert all("outside the budget" in entry["why"] for entry in result["candidates"])
    least = min(result["candidates"], key=lambda entry: float(entry["estimate"][cost]))
    assert f"; closest: {least['name']}: " in missed.value.message
    assert not (tmp_path / "winner").exists()


def test_quality_that_nothing_keeps_is_a_missed_gate_with_what_comes_nearest(
    predecessor: Path, out: Path, data: DataConfig, everything: dict[str, Truth], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The predecessor is taken to be better than it is, so that none can keep what is asked for."""
    size = everything["2-int8-static"].model_bytes
    real = SearchRun._dev

    def dev(self: Any, source: Any) -> float:
        return real(self, source) if source.kind == "onnx" else 1.25

    monkeypatch.setattr(SearchRun, "_dev", dev)
    with pytest.raises(
        QualityGateError, match=r"no candidate meets the budget of .*, 90.0% of the quality; closest: "
    ) as missed:
        run(predecessor, out, Budget(max_bytes=size, min_retention=0.9, length=16), data)
    assert re.search(r"[12]-int8-\w+: keeps \d+\.\d% of the quality", missed.value.message)


def test_another_predecessor_or_other_settings_are_not_mixed_in(
    predecessor: Path, successor: Path, out: Path, data: DataConfig, everything: dict[str, Truth]
) -> None:
    budget = Budget(max_bytes=everything["1-fp32"].model_bytes, length=16)
    run(predecessor, out, budget, data)
    with pytest.raises(UsageError, match="holds the search of another predecessor"):
        run(successor, out, budget, data)
    other = replace(PLAN, compress=replace(PLAN.compress, epochs=4))
    with pytest.raises(UsageError, match=r"was made from other inputs \(differs in: settings\)"):
        search(open_source(predecessor), out, other, budget, data)


def test_an_edited_dev_file_is_evaluated_again(
    predecessor: Path, data: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a search that was interrupted once it knew the predecessor's quality."""

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(SearchRun, "_finish", interrupted)
    own = shutil.copytree(str(data.data), tmp_path / "data")
    config, found = replace(data, data=own), []
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run(predecessor, tmp_path / "out", Budget(max_bytes=10**9, length=16), config)
        found.append(json.loads((tmp_path / "out" / "search.json").read_text(encoding="utf-8"))["reference"])
        file = next(own.glob("dev.*"))
        header, *rows = file.read_text(encoding="utf-8").splitlines()
        label = rows[0].rpartition("\t")[2]
        edited = ["\t".join((row.rpartition("\t")[0], label)) for row in rows]
        file.write_text("\n".join([header, *edited]) + "\n", encoding="utf-8")
    quality = evaluate(load_model(open_source(predecessor)), config.load(open_source(predecessor).task), "dev")
    assert found[1] == quality.metrics["accuracy"] != found[0]


def _with_notes(winner: Path, predecessor: Path) -> None:
    shutil.copytree(predecessor, winner)
    (winner / "notes.txt").write_text("mine", encoding="utf-8")


FOREIGN: dict[str, tuple[str, Callable[[Path, Path], Any], str]] = {
    "a file": ("winner", lambda path, _: path.write_text("mine"), "is no artifact that a search put there"),
    "a folder": ("winner/notes", lambda path, _: path.mkdir(parents=True), "is no artifact that a search put there"),
    "a link": ("winner", lambda path, model: path.symlink_to(model), "is no artifact that a search put there"),
    "a broken link": ("winner", lambda path, _: path.symlink_to("nowhere"), "is no artifact that a search put there"),
    "more than an artifact": ("winner", _with_notes, r"holds notes\.txt beside the artifact"),
    "another model": ("winner", lambda path, model: shutil.copytree(model, path), "was not made of predecessor"),
    "another journal": ("journal.json", lambda path, _: path.write_text('{"monday": "rain"}'), "is not of a search"),
    "another result": ("search.json", lambda path, _: path.write_text("[]"), "is not of a search"),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_what_no_search_wrote_is_not_replaced(predecessor: Path, data: DataConfig, tmp_path: Path, what: str) -> None:
    name, put, message = FOREIGN[what]
    put(tmp_path / name, predecessor)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match=message):
        run(predecessor, tmp_path, Budget(max_bytes=10**9, length=16), data)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_second_search_in_the_same_folder_is_refused(predecessor: Path, data: DataConfig, tmp_path: Path) -> None:
    with exclusive(tmp_path, inside=True), pytest.raises(UsageError, match=f"another process writes {tmp_path}: "):
        run(predecessor, tmp_path, Budget(max_bytes=10**9, length=16), data)


def test_probes_of_other_versions_are_made_again(
    predecessor: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def probe() -> Path:
        source, cache = open_source(predecessor), ResultCache(tmp_path / "journal.json")
        return Probes(source, tmp_path, cache, Budget(max_bytes=1, length=16), PLAN.export, PLAN.int8)._probe(1, FP32)

    first = probe()
    assert probe() == first
    monkeypatch.setattr("replank.chain.search_probes.versions", lambda: {"onnxruntime": "9.9"})
    assert probe() != first


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "error: no budget given"),
        (
            ("--max-latency", "5"),
            "error: --max-latency is 5; expected a number above 0 with one of the units us",
        ),
        (
            ("--max-bytes", "50furlongs"),
            "error: --max-bytes is 50furlongs; expected a number above 0 with one of",
        ),
        (
            ("--min-throughput", "200"),
            "error: --min-throughput is 200; expected a number above 0 with one of",
        ),
        (("--max-latency", "0ms"), "error: --max-latency is 0ms; expected a number above 0"),
        (("--max-latency", "5ms", "--at", "128"), "error: Invalid value for '--at': '128' is no shape"),
        (("--max-latency", "5ms", "--min-retention", "98"), "error: --min-retention is 98.0; expected a fraction"),
        (("--max-latency", "5ms"), "error: no data given"),
    ],
)
def test_a_budget_that_cannot_be_meant_is_a_usage_error(
    replank: Replank, predecessor: Path, tmp_path: Path, flags: tuple[str, ...], message: str
) -> None:
    done = replank("search", predecessor, tmp_path / "out", *flags)
    assert done.code == 2
    assert error_lines(done)[0].startswith(message)
    assert not (tmp_path / "out").exists()


def test_the_command_finds_one_and_says_why_the_others_lost(
    replank: Replank, predecessor: Path, data: DataConfig, tmp_path: Path
) -> None:
    flags = ("--data", data.data, "--text", "sentence", "--max-length", 32, "--epochs", 1, "--at", "1x16")
    done = replank("search", predecessor, tmp_path, *flags, "--max-latency", "10s", "--max-drop", 0.5)
    assert done.code == 0, done.err
    assert f"{tmp_path / 'winner'} is " in done.out
    assert "why it has not won" in done.out
    result = json.loads((tmp_path / "search.json").read_text(encoding="utf-8"))
    finished = {entry["name"]: entry for entry in result["candidates"] if entry["dev"] is not None}
    assert finished[result["winner"]]["dev"] == max(entry["dev"] for entry in finished.values())
    assert all(entry["why"] for name, entry in finished.items() if name != result["winner"])
    assert Artifact.open(tmp_path / "winner").manifest.quality is not None
    assert {name.partition("-")[2] for name in finished} == {"fp32", "int8-dynamic", "int8-static"}
    refused = replank("search", predecessor, tmp_path, *flags, "--max-latency", "1us", "--max-drop", 0.5)
    assert refused.code == 3
    assert "no candidate meets the budget of 0.001 ms at 1x16" in error_lines(refused)[0]


def test_integers_are_a_candidate_where_they_are_asked_for(
    replank: Replank, predecessor: Path, data: DataConfig, tmp_path: Path
) -> None:
    flags = ("--data", data.data, "--text", "sentence", "--max-length", 32, "--epochs", 1, "--at", "1x16")
    budget = ("--max-bytes", "10MB", "--max-drop", 0.5)
    done = replank("search", predecessor, tmp_path / "out", *flags, *budget, "--schemes", "integer")
    assert done.code == 0, done.err
    result = json.loads((tmp_path / "out" / "search.json").read_text(encoding="utf-8"))
    assert {entry["precision"] for entry in result["candidates"]} == {"fp32", "int8-integer"}
    integer = next(entry for entry in result["candidates"] if entry["name"] == "4-int8-integer")
    estimate, measured = integer["estimate"]["model_bytes"], integer["measured"]["model_bytes"]
    assert estimate == pytest.approx(measured, rel=0.02)
    manifest = Artifact.open(tmp_path / "out" / "4" / "int8-integer").manifest
    assert manifest.made_by.facts_of(Int8Facts).integer is not None
    wrong = replank("search", predecessor, tmp_path / "other", *flags, *budget, "--schemes", "integer,fast")
    assert wrong.code == 2
    assert error_lines(wrong)[0].startswith("error: --schemes is integer,fast; expected some of dynamic, static")

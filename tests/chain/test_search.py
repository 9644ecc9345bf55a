"""The search for the best model under a budget, against the truth: everything trained, everything measured."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from replank.chain.budget import Budget
from replank.chain.search import search
from replank.chain.search_choice import FP32
from replank.chain.search_run import SearchRun
from replank.data.config import DataConfig
from replank.models.artifact import Artifact
from replank.models.source import open_source
from replank.runtime.evaluate import evaluate
from replank.runtime.load import load_model
from replank.system.errors import QualityGateError, UsageError
from replank_compress.successor import compress
from replank_export.convert import export
from replank_export.schemes import quantize
from searches import PLAN, run

pytestmark = pytest.mark.usefixtures("quiet_machine")


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

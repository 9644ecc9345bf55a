"""What a search remembers: of the same facts only, and of a quiet machine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from replank.chain import costs
from replank.chain.budget import Budget, Cost
from replank.chain.costs import measure_costs
from replank.chain.result_cache import ResultCache
from replank.system.environment import versions
from replank.system.errors import ArtifactError

BUDGET = Budget(max_latency_ms=1, length=16)


@pytest.fixture
def measurements(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of each measurement so far, which is its latency too."""
    made: list[int] = []

    def measure(sources: Any, budget: Budget, device: Any) -> Any:
        made.append(len(made) + 1)
        return {source.folder.name: {"p50_ms": float(made[-1])} for source in sources}, ()

    monkeypatch.setattr(costs, "_measure", measure)
    monkeypatch.setattr(costs, "disturbance", lambda *_: None)
    return made


def latency(folder: Path, journal: Path) -> float | None:
    """As another run of the same search finds it."""
    return measure_costs([folder], BUDGET, ResultCache(journal))[folder.name].p50_ms


def test_a_measurement_holds_while_its_facts_do(
    measurements: list[int],
    onnx_artifact: Path,
    int8_artifact: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, journal = shutil.copytree(onnx_artifact, tmp_path / "fp32"), tmp_path / "journal.json"
    assert [latency(folder, journal) for _ in range(2)] == [1, 1]
    shutil.rmtree(folder)
    shutil.copytree(int8_artifact, folder)
    assert [latency(folder, journal) for _ in range(2)] == [2, 2]
    monkeypatch.setattr(costs, "versions", lambda: versions() | {"onnxruntime": "9.9"})
    assert [latency(folder, journal) for _ in range(2)] == [3, 3]
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(7)))
    assert [latency(folder, journal) for _ in range(2)] == [4, 4]
    assert measurements == [1, 2, 3, 4]


def test_a_measurement_on_a_busy_machine_is_not_final(
    measurements: list[int],
    onnx_artifact: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    journal = tmp_path / "journal.json"
    monkeypatch.setattr(costs, "disturbance", lambda *_: "The machine was busy.")
    cache = ResultCache(journal)
    first = [measure_costs([onnx_artifact], BUDGET, cache) for _ in range(2)]
    assert first == [{onnx_artifact.name: Cost(p50_ms=1)}] * 2
    assert caplog.messages == ["The machine was busy. The next run of the same command measures again."]
    assert not journal.exists()
    monkeypatch.setattr(costs, "disturbance", lambda *_: None)
    assert [latency(onnx_artifact, journal) for _ in range(2)] == [2, 2]


def test_what_tells_a_busy_machine_is_measured(onnx_artifact: Path, tmp_path: Path, monkeypatch: Any) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(costs, "disturbance", lambda *facts: asked.append(facts))
    cost = measure_costs([onnx_artifact], BUDGET, ResultCache(tmp_path / "journal.json"))[onnx_artifact.name]
    ((_, cores, ((p50, p90),)),) = asked
    assert cores >= 1
    assert p90 >= p50 == cost.p50_ms
    (entry,) = json.loads((tmp_path / "journal.json").read_text(encoding="utf-8")).values()
    assert entry["values"][onnx_artifact.name]["p50_ms"] == p50


def test_a_damaged_journal_is_said(tmp_path: Path) -> None:
    (tmp_path / "journal.json").write_text("{", encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"journal\.json is damaged"):
        ResultCache(tmp_path / "journal.json")

"""The scheme `auto` in a search: estimated by what it chooses from, measured where it chose to run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from replank.chain.budget import Budget
from replank.chain.result_cache import ResultCache
from replank.chain.search_choice import FP32, Candidate
from replank.chain.search_probes import Probes
from replank.chain.search_run import SearchRun
from replank.data.config import DataConfig
from replank.models.artifact import Artifact
from replank.models.int8_facts import Int8Facts
from replank.models.source import open_source
from replank_export.schemes import AutoInt8
from searches import PLAN

pytestmark = pytest.mark.usefixtures("quiet_machine")

AUTO = "int8-auto"
AUTO_PLAN = replace(PLAN, int8={AUTO: AutoInt8(max_drop=0.5, allow_slower=True, calibration_rows=16)})
BUDGET = Budget(max_latency_ms=1e6, length=16)


def test_it_is_estimated_by_the_fastest_that_it_chooses_from(predecessor: Path, tmp_path: Path) -> None:
    source, cache = open_source(predecessor), ResultCache(tmp_path / "journal.json")
    candidates = [Candidate(1, FP32), Candidate(1, AUTO)]
    Probes(source, tmp_path, cache, BUDGET, AUTO_PLAN.export, AUTO_PLAN.int8).estimate(candidates)
    made = sorted(path.name.rpartition("-")[0] for path in tmp_path.glob("1-*"))
    assert made == ["1-fp32", "1-int8-auto-dynamic", "1-int8-auto-static"]
    fp32, auto = (entry.estimate for entry in candidates)
    assert fp32.model_bytes is not None
    assert auto.model_bytes is not None
    assert auto.model_bytes < fp32.model_bytes
    assert auto.p50_ms is not None
    assert [entry.why for entry in candidates] == [None, None]


def test_a_finished_candidate_is_the_chosen_pair(predecessor: Path, data: DataConfig, tmp_path: Path) -> None:
    source = open_source(predecessor)
    cache = ResultCache(tmp_path / "journal.json")
    found = SearchRun(source, tmp_path, AUTO_PLAN, BUDGET, data, data.load(source.task), cache)
    found._reference = 1.0
    found._finish(source.layers, source)
    (entry,) = [entry for entry in found.candidates if entry.name == f"{source.layers}-{AUTO}"]
    assert entry.why is None
    assert entry.measured is not None
    assert entry.measured.p50_ms is not None
    choice = Artifact.open(found.folder(entry)).manifest.made_by.facts_of(Int8Facts).choice
    assert choice is not None
    assert {trial.scheme for trial in choice.trials} == {"fp32", "dynamic", "static"}

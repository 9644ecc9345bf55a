"""Searches of tiny models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from replank.chain.budget import Budget
from replank.chain.search import search
from replank.chain.search_choice import int8_name
from replank.chain.search_plan import SearchPlan
from replank.data.config import DataConfig
from replank.models.source import open_source
from replank_compress.methods.theseus import TheseusConfig
from replank_export.convert import ExportConfig
from replank_export.int8 import DynamicInt8, StaticInt8

INT8: dict[str, Any] = {"max_drop": 0.5, "allow_slower": True}


PLAN = SearchPlan(
    TheseusConfig(epochs=3, learning_rate=2e-3, batch_size=16, precision="fp32"),
    ExportConfig(),
    {int8_name("dynamic"): DynamicInt8(**INT8), int8_name("static"): StaticInt8(**INT8, calibration_rows=16)},
)


def run(predecessor: Path, out: Path, budget: Budget, data: DataConfig) -> dict[str, Any]:
    return search(open_source(predecessor), out, PLAN, budget, data).to_json()

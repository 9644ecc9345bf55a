"""The table of speed: of results with and without the modes of torch."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

import headline_block
import speed_blocks
from block_text import RESULTS

NAME = "bert_base_speed"


@pytest.fixture
def values(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The published result without modes but fp32, as the blocks will read it."""
    found: dict[str, Any] = json.loads((RESULTS / f"{NAME}.json").read_text(encoding="utf-8"))
    for key in ("models", "cells"):
        name = "name" if key == "models" else "model"
        found[key] = [entry for entry in found[key] if "(" not in entry[name] or "(fp32)" in entry[name]]
    found["left_out"] = {}
    for block in (speed_blocks, headline_block):
        monkeypatch.setattr(block, "read_result", lambda name: found if name == NAME else {})
    return found


def add_mode(values: dict[str, Any], mode: str, precision: str, gain: float) -> None:
    """The first model in another mode, as many times as fast at every shape."""
    first = values["baseline"]
    model = copy.deepcopy(values["models"][0]) | {"name": f"{first} ({mode})", "mode": mode, "precision": precision}
    values["models"].insert(1, model)
    for cell in [cell for cell in values["cells"] if cell["model"] == first]:
        added = copy.deepcopy(cell) | {"model": model["name"], "p50_ms": cell["p50_ms"] / gain}
        rounds = [gain] * len(cell["ratio"]["rounds"])
        added["ratio"] |= {"estimate": gain, "median": gain, "rounds": rounds}
        values["cells"].insert(0, added)


def test_without_modes_nothing_is_said_of_them(values: dict[str, Any]) -> None:
    block, headline = speed_blocks.speed_block(NAME), headline_block._speed_lines()
    assert "whole chain against eager fp32" in block
    assert "best of torch" not in block
    assert len(headline) == 2


def test_the_best_mode_of_torch_stands_beside_the_eager_one(values: dict[str, Any]) -> None:
    add_mode(values, "bf16", "bf16", 2.0)
    add_mode(values, "compiled-int8", "int8", 4.0)
    values["left_out"] = {"torch-12 (compiled)": "there is no compiler"}
    block, headline = speed_blocks.speed_block(NAME), headline_block._speed_lines()
    assert "| 12 layers, torch eager bf16 |" in block
    assert "| 12 layers, torch INT8 (torchao, compiled) |" in block
    assert "torch-12 (compiled) is left out: there is no compiler." in block
    (best,) = [line for line in block.splitlines() if "against the best of torch" in line]
    assert best.count("(INT8 (torchao, compiled))") == len(block.splitlines()[0].split("|")) - 3
    eager, beside, _ = (float(line.partition("**")[2].partition("x")[0]) for line in headline)
    assert beside == pytest.approx(eager / 4, abs=0.1)
    assert "than the best of torch with 12 layers: INT8 (torchao, compiled)" in headline[1]


def test_processor_time_is_named(values: dict[str, Any]) -> None:
    values["clock"] = "processor"
    assert speed_blocks.speed_block(NAME).startswith("| cpu ms |")
    assert "Times and ratios are of processor time (one thread)." in speed_blocks.speed_block(NAME)
    assert "processor time (one thread), [BERT-base" in headline_block._speed_lines()[0]


def test_the_range_of_attention_is_over_all_versions_and_the_other_way_round(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    results: dict[str, Any] = {}
    monkeypatch.setattr(speed_blocks, "RESULTS", tmp_path)
    for version, ratios in (("1.0", (0.8, 1.0)), ("2.0", (1.25, 1.1))):
        (tmp_path / f"attention-{version}.json").touch()
        cells = [{"forms": {"opened": {"ratio": {"median": ratio}}}} for ratio in ratios]
        results[f"attention-{version}"] = {"cells": cells}
    monkeypatch.setattr(speed_blocks, "read_result", results.__getitem__)
    assert speed_blocks.fused_attention_range("attention") == (0.8, 1.25)

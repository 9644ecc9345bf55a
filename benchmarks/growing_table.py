"""The table of benchmarks/growing.py."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

CELLS = {
    "full": "none: the whole encoder from the start",
    "compound": "compound: 3 layers of half the width, 6, 12; pooled until then",
    "depth": "depth: 3, 6, 12 layers",
    "length": "length: every second token pooled, then none",
    "width": "width of the feed-forward layers: 128, 256, 512",
}


def read_growing(folder: Path) -> list[dict[str, Any]]:
    """The cells that are done."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


def growing_table(cells: Sequence[dict[str, Any]]) -> str:
    """A row for each way of growing: what it costs, and the held-out loss and the task's accuracy at its end."""
    lines = [
        "| growth | FLOPs | saved by FLOPs | by processor time | held-out loss | full at these FLOPs | accuracy |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    full = {cell["seed"]: cell for cell in cells if cell["cell"] == "full"}
    for name, title in CELLS.items():
        found = [cell for cell in cells if cell["cell"] == name]
        if found:
            lines.append(_row(title, found, full))
    return "\n".join(lines)


def _row(title: str, cells: Sequence[dict[str, Any]], full: dict[int, dict[str, Any]]) -> str:
    flops = [sum(stage["flops"] for stage in cell["stages"]) for cell in cells]
    at_equal = [
        _loss_at(full[cell["seed"]], spent) for cell, spent in zip(cells, flops, strict=True) if cell["seed"] in full
    ]
    shown = [
        f"{statistics.mean(flops) / 1e12:.1f} T",
        f"{statistics.mean(cell['predicted_speedup'] for cell in cells):+.0%}",
        f"{statistics.mean(map(_measured, cells)):+.0%}",
        _interval([cell["curve"][-1]["eval_loss"] for cell in cells], 3),
        _interval(at_equal, 3),
        _interval([100 * cell["metrics"]["accuracy"] for cell in cells], 1),
    ]
    return f"| {title} | {' | '.join(shown)} |"


def _measured(cell: dict[str, Any]) -> float:
    """The speed-up in processor time, against as many steps as the last stage's."""
    steps = [stage["steps"] for stage in cell["stages"]]
    seconds = cell["processor_seconds"]
    return float(sum(steps) * seconds[-1] / steps[-1] / sum(seconds) - 1)


def _loss_at(cell: dict[str, Any], flops: float) -> float:
    """The held-out loss of a training when it had spent so many FLOPs, between two evaluations along a line.

    Its learning rate was then still higher than at its end.
    """
    spent, losses = ([entry[name] for entry in cell["curve"]] for name in ("flops", "eval_loss"))
    return float(np.interp(flops, spent, losses))


def _interval(values: Sequence[float], digits: int) -> str:
    """The mean, and half the width of its 95 % interval by Student's t over seeds, where there are several."""
    if not values:
        return ""
    mean = f"{statistics.mean(values):.{digits}f}"
    if len(values) < 2:
        return mean
    half = float(stats.t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
    return f"{mean} ± {half:.{digits}f}"

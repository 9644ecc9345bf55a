"""The table of benchmarks/references.py: whether a student with references is better than its controls."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scipy import stats

from replank.tasks.task import headline

STUDENTS = {
    "none": "no references (KD)",
    "keywords": "the nearest by keywords",
    "vectors": "the nearest by vectors",
    "random": "a random one",
    "zeroed": "states of 0",
    "constant": "learned states, the same for all texts",
}
_WITHOUT = "none"


def read_references(folder: Path) -> list[dict[str, Any]]:
    """The cells that are done."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


def references_table(cells: Sequence[dict[str, Any]]) -> str:
    """A row for each student: its score on each task, and what it has more than the student without references.

    Differences are paired by seed; in brackets is the 95 % interval by Student's t over tasks and seeds.
    """
    tasks = sorted({cell["task"] for cell in cells})
    scores = {(cell["student"], cell["task"], cell["seed"]): 100 * headline(cell["metrics"])[1] for cell in cells}
    lines = [
        "| reference | " + " | ".join(tasks) + " | points more than without |",
        "|---" + "|--:" * (len(tasks) + 1) + "|",
    ]
    for student, title in STUDENTS.items():
        by_task = [
            [value for (name, at, _), value in scores.items() if (name, at) == (student, task)] for task in tasks
        ]
        if any(by_task):
            shown = [f"{statistics.mean(found):.1f}" if found else "" for found in by_task]
            gains = [
                value - scores[_WITHOUT, task, seed]
                for (name, task, seed), value in scores.items()
                if name == student != _WITHOUT and (_WITHOUT, task, seed) in scores
            ]
            lines.append(f"| {title} | {' | '.join([*shown, _interval(gains)])} |")
    return "\n".join(lines)


def _interval(gains: Sequence[float]) -> str:
    if not gains:
        return ""
    mean = statistics.mean(gains)
    if len(gains) < 2:
        return f"{mean:+.1f}"
    half = float(stats.t.ppf(0.975, len(gains) - 1)) * float(stats.sem(gains))
    return f"{mean:+.1f} ({mean - half:+.1f} to {mean + half:+.1f})"

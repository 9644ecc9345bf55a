"""The table of the references benchmark, by hand."""

from __future__ import annotations

from typing import Any

from references_table import references_table


def cell(student: str, task: str, seed: int, accuracy: float) -> dict[str, Any]:
    return {"student": student, "task": task, "seed": seed, "metrics": {"accuracy": accuracy}}


def test_gains_are_paired_by_seed_and_averaged_over_tasks() -> None:
    cells = [
        *(cell("none", "a", seed, accuracy) for seed, accuracy in ((1, 0.80), (2, 0.70))),
        *(cell("keywords", "a", seed, accuracy) for seed, accuracy in ((1, 0.81), (2, 0.73))),
        cell("none", "b", 1, 0.50),
        cell("keywords", "b", 1, 0.52),
    ]
    lines = references_table(cells).splitlines()
    assert lines[0] == "| reference | a | b | points more than without |"
    assert lines[2] == "| no references (KD) | 75.0 | 50.0 |  |"
    # Gains of 1, 3 and 2: Student's t for two degrees of freedom is 4.303, and the standard error 1 / sqrt(3).
    assert lines[3] == "| the nearest by keywords | 77.0 | 52.0 | +2.0 (-0.5 to +4.5) |"
    assert len(lines) == 4


def test_a_student_whose_pair_is_not_done_has_no_gain() -> None:
    assert references_table([cell("random", "a", 1, 0.5)]).splitlines()[2] == "| a random one | 50.0 |  |"

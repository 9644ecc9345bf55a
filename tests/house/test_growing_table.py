"""The table of the growing benchmark, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from growing_table import growing_table


def cell(name: str, seed: int, flops: list[int], losses: list[tuple[float, float]]) -> dict[str, Any]:
    return {
        "cell": name,
        "seed": seed,
        "stages": [{"flops": each * 10**12, "steps": 10} for each in flops],
        "processor_seconds": [float(each) for each in flops],
        "predicted_speedup": 0.5,
        "curve": [{"flops": spent * 1e12, "eval_loss": loss} for spent, loss in losses],
        "metrics": {"accuracy": 0.75},
    }


def test_a_growth_beside_the_whole_encoder_at_its_flops() -> None:
    full = cell("full", 1, [8], [(0, 10.0), (4, 6.0), (8, 5.0)])
    deep = cell("depth", 1, [2, 4], [(0, 10.0), (6, 5.6)])
    lines = growing_table([deep, full]).splitlines()
    assert len(lines) == 4
    assert lines[2].endswith("| 8.0 T | +50% | +0% | 5.000 | 5.000 | 75.0 |")
    assert lines[3].endswith("| 6.0 T | +50% | +33% | 5.600 | 5.500 | 75.0 |")


def test_an_interval_over_seeds() -> None:
    cells = [cell("full", seed, [8], [(0, 9.0), (8, loss)]) for seed, loss in ((1, 5.0), (2, 5.2), (3, 5.4))]
    # Student's t for two degrees of freedom is 4.303, and the standard error 0.2 / sqrt(3).
    assert "5.200 ± 0.497" in growing_table(cells)


@pytest.mark.parametrize("cells", [[], [cell("width", 1, [1, 2], [(0, 9.0), (3, 5.0)])]])
def test_what_is_not_done_is_left_out(cells: list[dict[str, Any]]) -> None:
    assert len(growing_table(cells).splitlines()) == 2 + len(cells)

"""What the robustness benchmark says, by hand."""

from __future__ import annotations

import pytest

from robustness_block import candidates_table, difference_lines, transfer_table, victims_table

SHARE = {"value": 0.5, "low": 0.4, "high": 0.6}


def test_a_row_for_each_model() -> None:
    measures = {
        "accuracy_before": SHARE | {"value": 0.8},
        "accuracy_after": SHARE,
        "success_rate": SHARE,
        "changed": 0.123,
        "median_queries": 30.5,
    }
    table = victims_table({"victims": {"int8": {"layers": 3, "measures": measures}}})
    share = "50.0% (40.0% to 60.0%)"
    assert table.splitlines()[2] == f"| replacing, INT8 | 3 | 80.0% | {share} | {share} | 12.3% | 30.5 |"


@pytest.mark.parametrize(
    ("value", "p_value", "corrected", "verdict"),
    [
        (0.05, 0.01, 0.02, "replacing is the weaker one"),
        (-0.05, 0.01, 0.02, "predecessor is the weaker one"),
        (0.05, 0.04, 0.08, "no difference is shown"),
    ],
)
def test_what_is_shown_of_two_models_holds_for_all_pairs_at_once(
    value: float, p_value: float, corrected: float, verdict: str
) -> None:
    loss = {"value": value, "low": value - 0.04, "high": value + 0.04, "p_value": p_value}
    other = {"value": 0.0, "low": -0.01, "high": 0.01, "p_value": 0.9}
    rows = [{"of": "predecessor", "than": "theseus", "loss": loss}, {"of": "kd", "than": "theseus", "loss": other}]
    line, _ = difference_lines({"differences": rows})
    assert line == (
        f"- Accuracy after the attack, predecessor less replacing: {100 * value:+.1f} points "
        f"({100 * value - 4:+.1f} to {100 * value + 4:+.1f}), p = {p_value}, for all pairs at once {corrected}: "
        f"{verdict}."
    )


def test_transfer_and_candidates() -> None:
    transfer = transfer_table({"transfer": {"kd": [1.0, None], "int8": [0.25, 1.0]}})
    assert transfer.splitlines()[2:] == ["| KD | 100% |  |", "| replacing, INT8 | 25% | 100% |"]
    row = {"candidates": 4, "success_rate": SHARE, "changed": 0.1, "median_queries": 9.0}
    assert candidates_table({"candidates": [row]}).splitlines()[2] == "| 4 | 50.0% (40.0% to 60.0%) | 10.0% | 9 |"

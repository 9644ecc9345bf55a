"""Thresholds are chosen for the headline metric, and no richer than other rows bear out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from replank.tasks.metrics import score
from replank.tasks.thresholds import with_thresholds
from row_answers import NUMBERS, TOPICS, TWO_CLASSES

SHARES = np.array([0.4, 0.15, 0.03])


def made(rows: int, seed: int, *, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits of calibrated probabilities, of labels of different shares, moved by a shift; and truth."""
    random = np.random.default_rng(seed)
    logits = np.log(SHARES / (1 - SHARES)) + 1.5 * random.standard_normal((rows, 3))
    truth = random.random((rows, 3)) < 1 / (1 + np.exp(-logits))
    return (logits + shift).astype(np.float32), truth


@pytest.mark.parametrize("metric", TOPICS.metrics)
@pytest.mark.parametrize("rows", [60, 1000])
def test_they_are_no_worse_than_a_half_on_other_rows(metric: str, rows: int) -> None:
    """The mean over draws of dev; of precision and recall it is the micro F1 that they serve."""
    judged = metric if metric in ("macro_f1", "subset_accuracy") else "micro_f1"
    task = replace(TOPICS, metrics=(metric,))
    logits, truth = made(20_000, 1)
    gains = []
    for seed in range(8):
        chosen = with_thresholds(task, *made(rows, 10 + seed))
        found, before = (
            score(replace(each, metrics=(judged,)), each.decide(logits), truth)[judged] for each in (chosen, task)
        )
        gains.append(found - before)
    assert np.mean(gains) >= -0.005


def test_the_micro_f1_of_a_model_that_is_too_cautious_is_mended() -> None:
    chosen = with_thresholds(TOPICS, *made(2000, 0, shift=-2))
    logits, truth = made(4000, 1, shift=-2)
    before, found = (score(task, task.decide(logits), truth)["micro_f1"] for task in (TOPICS, chosen))
    assert found > before + 0.1


def test_each_label_has_its_own_where_each_counts_alike() -> None:
    logits, truth = made(4000, 2)
    logits[:, 2] -= 3
    chosen = with_thresholds(replace(TOPICS, metrics=("macro_f1",)), logits, truth)
    assert chosen.thresholds is not None
    assert chosen.thresholds[2] < chosen.thresholds[0]


def test_a_label_that_no_row_has_is_decided_as_the_others_are() -> None:
    logits, truth = made(400, 3)
    truth[:, 2] = False
    for metric in TOPICS.metrics:
        chosen = with_thresholds(replace(TOPICS, metrics=(metric,)), logits, truth)
        assert chosen.thresholds is not None
        assert chosen.thresholds[2] >= 0.2


def test_nothing_that_a_threshold_can_mend_leaves_a_half() -> None:
    truth = np.random.default_rng(0).random((50, 3)) < 0.5
    chosen = with_thresholds(TOPICS, np.where(truth, 9, -9).astype(np.float32), truth)
    assert chosen.thresholds == (0.5, 0.5, 0.5)


def test_other_tasks_have_none() -> None:
    for task in (TWO_CLASSES, NUMBERS):
        assert with_thresholds(task, np.zeros((4, 2), dtype=np.float32), np.zeros(4)) is task

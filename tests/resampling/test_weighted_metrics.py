"""Metrics of weighted rows are those of the rows written out, whatever the rows and however often each is drawn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from replank.resampling.weighted_metrics import weighted_metric
from replank.tasks.kinds.kind import LIKENESS_METRICS
from replank.tasks.metrics import METRICS, Decisions, score
from replank.tasks.task import Task
from row_answers import NUMBERS, PASSAGES, THREE_CLASSES, TOPICS, TWO_CLASSES, WORDS, answers

TASKS = [
    replace(TWO_CLASSES, metrics=("accuracy", "f1", "macro_f1", "matthews")),
    # F1 counts GLUE's class, which here is the first.
    replace(TWO_CLASSES, name="mrpc", labels=("equivalent", "not_equivalent"), metrics=("f1",)),
    replace(THREE_CLASSES, metrics=("accuracy", "macro_f1", "matthews", "agreement")),
    NUMBERS,
    WORDS,
    TOPICS,
    replace(TOPICS, metrics=("agreement",)),
    PASSAGES,
]


def taken(decisions: Decisions, rows: Any) -> Decisions:
    return [decisions[row] for row in rows] if isinstance(decisions, list) else decisions[rows]


@st.composite
def cases(draw: st.DrawFn, task: Task) -> tuple[Any, Any, list[list[int]]]:
    """Decisions, truth, and the rows of some resamples."""
    rows = draw(st.integers(2, 8))
    if task.is_ranked:
        sizes = draw(st.lists(st.integers(1, 4), min_size=rows, max_size=rows))
        fits, scored = st.integers(0, 1), st.sampled_from([-1.5, 0.0, 2.0])
        both = [[draw(st.lists(value, min_size=size, max_size=size)) for size in sizes] for value in (scored, fits)]
    elif task.is_per_token:
        lengths = draw(st.lists(st.integers(0, 4), min_size=rows, max_size=rows))
        label = st.integers(0, len(task.labels) - 1)
        both = [[draw(st.lists(label, min_size=size, max_size=size)) for size in lengths] for _ in range(2)]
    else:
        # Few values, so that many are equal: ties of ranks, and resamples in which all are the same.
        value: st.SearchStrategy[Any] = st.sampled_from([*range(len(task.labels))] or [-1.5, 0.0, 0.1, 2.0])
        if task.kind.is_multi_label:
            value = st.lists(st.booleans(), min_size=len(task.labels), max_size=len(task.labels))
        both = [draw(st.lists(value, min_size=rows, max_size=rows)) for _ in range(2)]
    row = st.integers(0, rows - 1)
    return both[0], both[1], draw(st.lists(st.lists(row, min_size=rows, max_size=rows), min_size=1, max_size=4))


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
@settings(max_examples=40)
@given(data=st.data())
def test_weights_are_rows_written_out(task: Task, data: st.DataObject) -> None:
    predicted, truth, resamples = data.draw(cases(task))
    found = answers(task, predicted, truth)
    if task.is_per_token:
        assume(all(any(len(row) for row in taken(found.truth, rows)) for rows in resamples))
    if task.is_ranked:
        assume(all(any((query > 0).any() for query in taken(found.truth, rows)) for rows in resamples))
    weights = np.stack([np.bincount(rows, minlength=len(found)) for rows in resamples]).astype(np.float64)
    for name in task.metrics:
        values = weighted_metric(name, task, found.predicted, found.truth)(weights)
        expected = [score(task, taken(found.predicted, rows), taken(found.truth, rows))[name] for rows in resamples]
        assert np.nan_to_num(values) == pytest.approx(expected, abs=1e-5)


def test_every_metric_is_among_these() -> None:
    # How alike two models' vectors are has no rows that could be drawn: each text's neighbours are all the others.
    assert {name for task in TASKS for name in task.metrics} == set(METRICS) - set(LIKENESS_METRICS)


@pytest.mark.parametrize(
    ("task", "predicted", "truth", "metric"),
    [
        (TWO_CLASSES, [0, 1, 0], [0, 0, 0], "matthews"),
        (TWO_CLASSES, [0, 0, 0], [0, 0, 0], "f1"),
        (NUMBERS, [0.1, 0.1, 0.1], [1, 2, 3], "pearson"),
        (NUMBERS, [1, 2, 3], [0.7, 0.7, 0.7], "spearman"),
        (WORDS, [[0, 0], [0]], [[0, 0], [0]], "entity_f1"),
        (WORDS, [[], []], [[], []], "accuracy"),
        (TOPICS, [[0, 0, 0], [0, 0, 0]], [[0, 1, 0], [0, 0, 0]], "micro_precision"),
    ],
)
def test_a_metric_that_would_divide_by_nothing_is_undefined(
    task: Task, predicted: Any, truth: Any, metric: str
) -> None:
    found = answers(task, predicted, truth)
    assert np.isnan(weighted_metric(metric, task, found.predicted, found.truth)(np.ones((1, len(found))))).all()

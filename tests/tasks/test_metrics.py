"""Metrics against values computed by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from replank.data.config import DataConfig
from replank.data.examples import Dataset, Examples
from replank.models.source import open_source
from replank.runtime.evaluate import evaluate, require_same_task
from replank.runtime.load import load_model
from replank.system.errors import DataError, ModelError
from replank.tasks.kinds import KINDS
from replank.tasks.kinds.kind import LIKENESS_METRICS
from replank.tasks.metrics import METRICS
from replank.tasks.metrics import score as score_answers
from replank.tasks.retrieval import PASSAGE_METRICS
from replank.tasks.task import Task
from row_answers import PASSAGES

BINARY = Task(
    "t", KINDS["classification"], ("no", "yes"), ("text",), "label", ("accuracy", "f1", "macro_f1", "matthews")
)
NUMBERS = Task("t", KINDS["regression"], (), ("text",), "label", ("pearson", "spearman"))


def floats(values: Any) -> NDArray[np.float32]:
    return np.array(values, dtype=np.float32)


def logits_of(predicted: list[int], outputs: int = 2) -> NDArray[np.float32]:
    return floats(np.eye(outputs)[predicted])


def score(task: Task, logits: NDArray[np.float32], truth: Any) -> dict[str, float]:
    return score_answers(task, task.kind.decide(logits), truth)


def test_classification_by_hand() -> None:
    """3 true positives, 1 false positive, 2 false negatives, 4 true negatives."""
    truth = np.array([1, 1, 1, 0, 1, 1, 0, 0, 0, 0])
    logits = logits_of([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    assert score(BINARY, logits, truth) == pytest.approx(
        {
            "accuracy": 7 / 10,
            "f1": 2 * 3 / (2 * 3 + 1 + 2),
            "macro_f1": (2 * 3 / (2 * 3 + 1 + 2) + 2 * 4 / (2 * 4 + 2 + 1)) / 2,
            "matthews": (3 * 4 - 1 * 2) / (4 * 5 * 5 * 6) ** 0.5,
        }
    )


def test_nothing_to_score_is_an_error() -> None:
    """Words whose labels all lie beyond what a model reads."""
    words = Task("t", KINDS["token-classification"], ("O", "B-X"), ("text",), "tags", ("accuracy",))
    nothing = [np.empty(0, dtype=np.int64)] * 2
    with pytest.raises(DataError, match="nothing to score"):
        score_answers(words, nothing, nothing)


def test_f1_is_of_the_second_label() -> None:
    task = replace(BINARY, metrics=("f1",))
    assert score(task, logits_of([0, 0, 0]), np.array([0, 0, 0])) == {"f1": 0.0}
    assert score(task, logits_of([1, 1, 1]), np.array([1, 1, 1])) == {"f1": 1.0}


def test_three_labels_by_hand() -> None:
    task = replace(BINARY, labels=("a", "b", "c"), metrics=("macro_f1",))
    values = score(task, logits_of([0, 1, 1, 2], 3), np.array([0, 1, 2, 2]))
    assert values == pytest.approx({"macro_f1": (1 + 2 / 3 + 2 / 3) / 3})


def test_regression_by_hand() -> None:
    truth = np.array([1.0, 2.0, 3.0, 4.0], dtype=np.float32)
    predicted = np.array([[1.0], [3.0], [2.0], [8.0]], dtype=np.float32)
    # Deviations of truth: -1.5 -0.5 0.5 1.5; of predictions: -2.5 -0.5 -1.5 4.5. Ranks differ by 0 1 1 0.
    pearson = (3.75 + 0.25 - 0.75 + 6.75) / (5 * 29) ** 0.5
    assert score(NUMBERS, predicted, truth) == pytest.approx({"pearson": pearson, "spearman": 1 - 6 * 2 / (4 * 15)})


@pytest.mark.parametrize("predicted", [0, 1])
def test_a_constant_class_has_no_correlation(predicted: int) -> None:
    values = score(BINARY, logits_of([predicted] * 4), np.array([0, 1, 0, 1]))
    assert values["matthews"] == 0.0
    assert values["accuracy"] == 0.5


def test_a_constant_number_has_no_correlation() -> None:
    truth = np.array([1.0, 2.0, 3.0])
    assert score(NUMBERS, np.full((3, 1), 2, dtype=np.float32), truth) == {"pearson": 0.0, "spearman": 0.0}
    assert score(NUMBERS, floats([[1], [2], [3]]), np.full(3, 2.0)) == {"pearson": 0.0, "spearman": 0.0}


def test_a_single_row_is_scored() -> None:
    assert score(NUMBERS, floats([[2]]), np.array([2.0])) == {"pearson": 0.0, "spearman": 0.0}
    assert score(BINARY, logits_of([1]), np.array([1]))["accuracy"] == 1.0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_logits_that_are_no_numbers_are_refused(value: float) -> None:
    logits = logits_of([0, 1, 0])
    logits[1, 0] = value
    with pytest.raises(ModelError, match="logits are not finite numbers"):
        score(BINARY, logits, np.array([0, 1, 0]))


def test_a_split_without_labels_is_refused() -> None:
    with pytest.raises(DataError, match="this split has no labels") as refusal:
        score(BINARY, logits_of([0]), None)
    assert refusal.value.hint == "choose another `split`"


def test_decisions() -> None:
    logits = floats([[0.1, 0.2], [5.0, -1.0], [1.0, 1.0]])
    assert BINARY.kind.decide(logits).tolist() == [1, 0, 0]
    assert NUMBERS.kind.decide(logits[:, :1]).tolist() == floats([0.1, 5.0, 1.0]).tolist()


def test_every_metric_of_a_perfect_answer_is_one() -> None:
    truth = np.array([0, 1, 1, 0])
    for name in METRICS.keys() - {"entity_f1", *PASSAGE_METRICS, *LIKENESS_METRICS}:
        assert METRICS[name](BINARY, truth, truth) == pytest.approx(1.0), name
    words = Task("t", KINDS["token-classification"], ("O", "B-X"), ("tokens",), "tags", ("entity_f1",))
    assert METRICS["entity_f1"](words, [truth], [truth]) == 1.0
    for name in PASSAGE_METRICS:
        assert METRICS[name](PASSAGES, [truth], [truth]) == pytest.approx(1.0), name
    vectors = np.random.default_rng(0).standard_normal((20, 4)).astype(np.float32)
    for name in LIKENESS_METRICS:
        assert METRICS[name](PASSAGES, vectors, 3 * vectors) == pytest.approx(1.0), name


def test_a_vector_that_points_elsewhere_has_other_neighbours() -> None:
    generator = np.random.default_rng(0)
    truth = generator.standard_normal((40, 8)).astype(np.float32)
    found = truth.copy()
    found[0] = -found[0]
    assert METRICS["cosine"](PASSAGES, truth, found) == pytest.approx(38 / 40)
    assert METRICS["neighbours"](PASSAGES, truth, found) < 1


# A model and a data set


def test_a_model_is_scored_on_the_rows_named(onnx_artifact: Path, data: DataConfig) -> None:
    source = open_source(onnx_artifact)
    dataset = data.load(source.task)
    counted: list[int] = []
    quality = evaluate(load_model(source), dataset, "dev", progress=counted.append)
    split = dataset.split("dev")
    assert (quality.split, quality.rows, quality.data) == ("dev", 64, split.digest)
    assert split.labels is not None
    right = load_model(source).logits(split.first).argmax(axis=1) == split.labels
    assert quality.metrics["accuracy"] == right.mean() > 0.8
    assert sum(counted) == 64


@pytest.mark.parametrize(
    ("ours", "theirs", "message"),
    [
        (BINARY, NUMBERS, r"m answers with 2 labels \(no, yes\); the data has a number"),
        (NUMBERS, BINARY, r"m answers with a number; the data has 2 labels \(no, yes\)"),
        (BINARY, replace(BINARY, labels=("a", "b", "c")), r"the data has 3 labels \(a, b, c\)"),
        (BINARY, replace(BINARY, columns=("a", "b")), "m takes single texts; the data has pairs of texts"),
        (replace(BINARY, columns=("a", "b")), BINARY, "m takes pairs of texts; the data has single texts"),
    ],
)
def test_data_of_another_task_is_refused(ours: Task, theirs: Task, message: str) -> None:
    with pytest.raises(DataError, match=message):
        require_same_task("m", ours, Dataset(theirs, {"dev": Examples(["a"], None, None)}))


def test_a_plain_model_may_be_of_texts_or_pairs() -> None:
    unknown = replace(BINARY, columns=())
    for columns in (("text",), ("a", "b")):
        require_same_task("m", unknown, Dataset(replace(BINARY, columns=columns), {}))


def test_f1_counts_glues_positive_class_wherever_the_model_has_it() -> None:
    """2 true positives of "equivalent", 1 false negative."""
    truth, predicted = np.array([1, 1, 1, 0]), [1, 1, 0, 0]
    for turned, labels in enumerate((("not_equivalent", "equivalent"), ("EQUIVALENT", "NOT_EQUIVALENT"))):
        task = Task("mrpc", KINDS["classification"], labels, ("a", "b"), "label", ("f1",))
        answers = logits_of([1 - index if turned else index for index in predicted])
        assert score(task, answers, 1 - truth if turned else truth) == {"f1": pytest.approx(4 / 5)}

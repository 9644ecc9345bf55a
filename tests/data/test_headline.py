"""The headline metric that may be chosen for a task's data."""

from __future__ import annotations

from pathlib import Path

import pytest

from replank.data.config import DataConfig
from replank.system.errors import FieldError
from replank.tasks.kinds import KINDS
from replank.tasks.task import Task
from tables import save_labels


def test_the_headline_may_be_chosen(tmp_path: Path) -> None:
    train = save_labels(tmp_path, ".csv", ["x", "y"])
    assert DataConfig(train=train, metric="macro_f1").load().task.metrics == ("macro_f1", "accuracy")
    assert DataConfig(train=train, metric="matthews").load().task.metrics == ("matthews", "accuracy", "macro_f1")
    model = Task("t", KINDS["classification"], ("x", "y"), ("text",), "label", ("macro_f1", "accuracy"))
    assert DataConfig(train=train).load(model).task.headline == "macro_f1"
    assert DataConfig(train=train, metric="f1").load(model).task.metrics == ("f1", "macro_f1", "accuracy")
    numbers = save_labels(tmp_path, ".csv", ["1", "2"], "dev")
    assert DataConfig(train=numbers, metric="spearman", task="regression").load().task.headline == "spearman"


@pytest.mark.parametrize(
    ("labels", "metric", "message"),
    [
        (["x", "y", "z"], "f1", r"`metric` is f1; expected one of accuracy, macro_f1, matthews, for 3 labels"),
        (["x", "y"], "pearson", "expected one of accuracy, macro_f1, matthews, f1, for 2 labels"),
        (
            ["x", "y"],
            "auc",
            "expected one of accuracy, f1, macro_f1, micro_f1, micro_precision, micro_rec",
        ),
    ],
)
def test_a_headline_that_says_nothing_is_refused(tmp_path: Path, labels: list[str], metric: str, message: str) -> None:
    with pytest.raises(FieldError, match=message):
        DataConfig(train=save_labels(tmp_path, ".csv", labels), metric=metric).load()

"""Classes of very different sizes are told of."""

from __future__ import annotations

from pathlib import Path

import pytest

from replank.data.balance import tell_of_imbalance
from replank.data.config import DataConfig
from tables import save_labels, save_tags


def told(config: DataConfig, caplog: pytest.LogCaptureFixture) -> list[str]:
    caplog.clear()
    tell_of_imbalance(config.load())
    return caplog.messages


def test_the_shares_are_said_where_one_class_is_nearly_all(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    train = save_labels(tmp_path, ".csv", ["no"] * 96 + ["yes"] * 4)
    shares = "train is unbalanced: 96.0% of 100 labels are 'no', 4.0% are 'yes'"
    assert told(DataConfig(train=train), caplog) == [
        f"{shares}; accuracy hardly counts the small classes: `metric=macro_f1` counts all alike"
    ]
    assert told(DataConfig(train=train, metric="macro_f1"), caplog) == [shares]


@pytest.mark.parametrize(
    ("counts", "is_told"), [((90, 10), False), ((91, 9), True), ((50, 45, 5), False), ((51, 44, 5), True)]
)
def test_the_bounds(tmp_path: Path, caplog: pytest.LogCaptureFixture, counts: tuple[int, ...], is_told: bool) -> None:
    labels = [name for name, count in zip("abc", counts, strict=False) for _ in range(count)]
    assert bool(told(DataConfig(train=save_labels(tmp_path, ".csv", labels)), caplog)) == is_told


def test_words_without_a_name_are_the_most_everywhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    train = save_tags(tmp_path, [["O"] * 30, ["O", "B-X"]])
    config = DataConfig(train=train, task="token-classification")
    assert told(config, caplog) == []
    judged = DataConfig(train=train, task="token-classification", metric="accuracy")
    assert "96.9% of 32 labels are 'O'" in told(judged, caplog)[0]


def test_numbers_have_no_classes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    train = save_labels(tmp_path, ".csv", ["1"] * 99 + ["2"])
    assert told(DataConfig(train=train, task="regression"), caplog) == []

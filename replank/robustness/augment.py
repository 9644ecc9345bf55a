"""Adversarial training: the texts that fooled a model, with their true labels, among those that it learns from."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from replank.data.examples import Dataset, Examples
from replank.robustness.result import AttackResult, read_attack
from replank.robustness.texts import AttackedText
from replank.system.errors import DataError
from replank.tasks.metrics import require_labels

_TRAIN = "train"
_log = logging.getLogger(__name__)


def augmented(data: Dataset, path: Path | None) -> Dataset:
    """The data with adversarial texts behind its training split; as it is where no file is named.

    :param path: the result of an attack on texts of this training split.
    :raises DataError: it is of another split or of other texts, or no text fooled a model.
    """
    if path is None:
        return data
    result, train = read_attack(path), data.split(_TRAIN)
    if result.split != _TRAIN:
        raise DataError(
            f"{path} is an attack on the split {result.split}, and its texts must stay unseen in training",
            hint="attack the training texts: replank attack MODEL --split train",
        )
    found = _fooling(result, train, path)
    if not found:
        raise DataError(f"{path} holds no text that fooled a model", hint="attack more `rows`")
    _log.info("%d adversarial texts are added to the %d of the training split", len(found), len(train))
    return replace(data, splits={**data.splits, _TRAIN: _with(train, found, result, data.task.labels)})


def _fooling(result: AttackResult, train: Examples, path: Path) -> list[AttackedText]:
    """The texts that fooled any of the models, each once.

    :raises DataError: a text does not stand in the training split where it was.
    """
    side = train.second if result.config.get("attack") == "text-pair" else train.first
    distinct: dict[tuple[str | None, str | None, str], AttackedText] = {}
    for text in (text for victim in result.victims for text in victim.texts):
        if side is None or text.row >= len(train) or side[text.row] != text.text:
            raise DataError(
                f"{path} is an attack on other texts: row {text.row} of the training split is not the one attacked",
                hint="attack the same data as is trained on",
            )
        if text.outcome == "fooled":
            distinct.setdefault((text.adversarial, text.other, text.label), text)
    return list(distinct.values())


def _with(train: Examples, found: list[AttackedText], result: AttackResult, labels: tuple[str, ...]) -> Examples:
    """The training split with texts behind it.

    :raises DataError: a label is unknown.
    """
    unknown = {text.label for text in found} - set(labels)
    if unknown:
        raise DataError(f"the attacked texts have labels that are not the task's: {', '.join(sorted(unknown))}")
    changed, others = [str(text.adversarial) for text in found], [str(text.other) for text in found]
    is_second = result.config.get("attack") == "text-pair"
    first, second = (others, changed) if is_second else (changed, others)
    numbers = np.array([labels.index(text.label) for text in found], dtype=np.int64)
    return Examples(
        [*train.first, *first],
        None if train.second is None else [*train.second, *second],
        np.concatenate([np.asarray(require_labels(train.labels)), numbers]),
    )

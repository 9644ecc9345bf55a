"""Rows that are held back to choose by, where data has neither a dev split nor a label."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from replank.data.examples import Dataset, Examples
from replank.system.errors import DataError

_log = logging.getLogger(__name__)

_PART = 10
_MOST, _LEAST_TEXTS = 1000, 40


def with_dev_held_back(data: Dataset) -> Dataset:
    """Data with a dev split: if there is none, a tenth of a training split without labels, at most 1000 rows.

    The rows are always the same, and none of their texts stays in the training split.

    :raises DataError: there are too few different rows.
    """
    train = data.splits.get("train")
    if "dev" in data.splits or train is None or train.labels is not None:
        return data
    rows = list(dict.fromkeys(zip(train.first, train.second or train.first, strict=True)))
    if len(rows) < _LEAST_TEXTS:
        raise DataError(
            f"{len(rows)} different texts to learn from; expected {_LEAST_TEXTS} or more",
            hint="any texts of the kind that the model is used on will do, without labels",
        )
    chosen = np.random.default_rng(0).permutation(len(rows))[: min(_MOST, len(rows) // _PART)]
    is_dev = np.zeros(len(rows), dtype=np.bool_)
    is_dev[chosen] = True
    _log.info("no dev split: %d texts of train are held back to choose by", len(chosen))
    splits = {
        "train": _examples(rows, ~is_dev, is_pair=train.second is not None),
        "dev": _examples(rows, is_dev, is_pair=train.second is not None),
    }
    return replace(data, splits={**data.splits, **splits})


def _examples(rows: list[tuple[str, str]], chosen: NDArray[np.bool_], *, is_pair: bool) -> Examples:
    kept = [row for row, is_kept in zip(rows, chosen, strict=True) if is_kept]
    return Examples([first for first, _ in kept], [second for _, second in kept] if is_pair else None, None)

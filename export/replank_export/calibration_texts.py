"""Texts of the task that activations are calibrated on."""

from __future__ import annotations

from replank.data.examples import Dataset
from replank.runtime.model import Model
from replank.system.errors import DataError, UsageError
from replank.text.padding import Batch


def calibration_texts(model: Model, data: Dataset | None, scheme: str, rows: int) -> list[Batch]:
    """Texts of the training split, or of dev where there is none, each in a batch of its own.

    :param scheme: the name of the scheme that wants them.
    :raises UsageError: there is no data.
    :raises DataError: there are too few texts.
    """
    if data is None:
        raise UsageError(
            f"the scheme {scheme} is calibrated on texts of the task, and no data is given",
            hint="give `dataset`, `data` or `train`; or choose `scheme=dynamic`, which needs none",
        )
    split = next((name for name in ("train", "dev") if name in data.splits), data.held_out)
    examples = data.split(split).head(rows)
    if len(examples) < rows:
        raise DataError(
            f"the {split} split has {len(examples)} rows; the scheme {scheme} is calibrated on {rows}",
            hint="give more rows, or set a smaller `calibration_rows` (at least 16)",
        )
    second = None if model.task.gives_vectors else examples.second
    texts = model.text_encoder.tokenize(examples.first, second)
    return [model.completed(model.text_encoder.pad([tokens])) for tokens in texts]

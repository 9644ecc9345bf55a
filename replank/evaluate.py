"""A model and examples to metrics: the same for every kind of model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from replank.data import Dataset
from replank.errors import DataError
from replank.metrics import score
from replank.runtime import Model


def evaluate(
    model: Model, data: Dataset, split: str, *, progress: Callable[[int], None] | None = None
) -> dict[str, Any]:
    """Metrics of a model on one split.

    :param progress: called after each batch with the number of examples in it.
    :returns: ``{"split", "rows", "data", "metrics"}``: ``data`` is the digest of the examples, so that two
        numbers are compared only if they come from the same rows; metrics are fractions.
    :raises DataError: the data's labels are not the model's, or the split has none.
    """
    require_same_labels(model, data)
    examples = data.split(split)
    logits = model.logits(examples.first, examples.second, progress=progress)
    metrics = score(data.task, logits, examples.labels)
    return {"split": split, "rows": len(examples), "data": examples.digest, "metrics": metrics}


def require_same_labels(model: Model, data: Dataset) -> None:
    """Refuse data whose labels the model does not answer with.

    :raises DataError: the names or their order differ.
    """
    if model.task.outputs != data.task.outputs or model.task.kind != data.task.kind:
        raise DataError(
            f"{model.source.name} answers with {_answers(model.task.kind, model.task.outputs)}; "
            f"the data has {_answers(data.task.kind, data.task.outputs)}",
            hint="is this the data of the task that the model was made for?",
        )


def _answers(kind: str, outputs: int) -> str:
    return "a number" if kind == "regression" else f"{outputs} labels"

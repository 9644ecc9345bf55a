"""Accuracy control: products go back to floating point, the most sensitive first, until the metric holds."""

from __future__ import annotations

import dataclasses
import logging
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from replank.data.examples import Examples
from replank.runtime.model import Model
from replank.runtime.predictors import Logits, OnnxPredictor
from replank.runtime.session import open_session
from replank.system.errors import QualityGateError
from replank.system.progress import progress
from replank.text.padding import Batch
from replank_export.int8.prepared_graph import PreparedGraph
from replank_export.verify.compare import answers, difference, real_batches

_SENSITIVITY_ROWS = 128
_log = logging.getLogger(__name__)


def keep_until_good(
    graph: PreparedGraph,
    target: Path,
    max_drop: float,
    reference: Model,
    examples: Examples,
    drop: Callable[[], float],
) -> list[str]:
    """Write ``target`` with as few products in floating point as the tolerance needs.

    The number of kept products doubles from try to try, so that a metric of many rows is measured a few times only.

    :param max_drop: the loss of the headline metric that is allowed, as a fraction.
    :param reference: the fp32 model.
    :param examples: texts to rank the products on.
    :param drop: loss of the headline metric of what lies in ``target``, as a fraction.
    :returns: the nodes kept in floating point.
    :raises QualityGateError: the metric falls too far with most products in floating point; that is no INT8 model.
    """
    found = drop()
    if found <= max_drop:
        return []
    _log.warning("INT8 costs %.2f points, more than `max_drop` allows; looking for the cause", 100 * found)
    keep: list[str] = []
    ranked = most_sensitive_first(graph, reference, examples.head(_SENSITIVITY_ROWS))
    count = 1
    while count < len(ranked):
        keep = ranked[:count]
        graph.write(target, keep)
        found = drop()
        _log.warning("%d of %d products in floating point: %.2f points", len(keep), len(ranked), 100 * found)
        if found <= max_drop:
            return keep
        count *= 2
    raise QualityGateError(
        f"INT8 costs {100 * found:.2f} points with {len(keep)} of {len(ranked)} products in floating point; "
        f"`max_drop` allows {100 * max_drop:g}",
        hint="serve the fp32 model, or allow more with `max_drop`",
    )


def most_sensitive_first(graph: PreparedGraph, reference: Model, examples: Examples) -> list[str]:
    """The products, ordered by how near INT8 comes to fp32 when this one alone stays in floating point."""
    batches = real_batches(reference, examples)
    expected = _all_answers(reference, batches)
    error: dict[str, float] = {}
    with (
        tempfile.TemporaryDirectory(prefix="replank-") as scratch,
        progress("sensitivity", len(graph.linear_layers)) as advance,
    ):
        path = Path(scratch) / "model.onnx"
        for name in graph.linear_layers:
            graph.write(path, [name])
            candidate = dataclasses.replace(
                reference, predictor=OnnxPredictor(open_session(path), reference.task.kind.output)
            )
            found = _all_answers(candidate, batches)
            error[name] = difference(name, expected, found, reference.task.kind).mean_abs
            advance(1)
    return sorted(error, key=lambda name: error[name])


def _all_answers(model: Model, batches: Sequence[Batch]) -> Logits:
    return np.concatenate([row for batch in batches for row in answers(model, batch)])

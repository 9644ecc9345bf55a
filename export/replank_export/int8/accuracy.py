"""Accuracy control: linear layers return to floating point, most sensitive first, until the metric is kept."""

from __future__ import annotations

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
from replank_export.allowed_drop import allowed
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
    """Write ``target`` with as few linear layers in floating point as the tolerance needs.

    Their number doubles from one attempt to the next, so that the metric is evaluated only a few times.

    :param max_drop: the allowed loss of the headline metric, as a fraction.
    :param reference: the fp32 model.
    :param examples: texts that the linear layers are ranked on.
    :param drop: computes the loss of the headline metric of the graph in ``target``, as a fraction.
    :returns: names of the nodes kept in floating point.
    :raises QualityGateError: the loss is still too large with most linear layers in floating point.
    """
    found = drop()
    if found <= max_drop:
        return []
    _log.info("INT8 costs %.2f points, more than `max_drop` allows; looking for the cause", 100 * found)
    keep: list[str] = []
    ranked = most_sensitive_first(graph, reference, examples.head(_SENSITIVITY_ROWS))
    count = 1
    while count < len(ranked):
        keep = ranked[:count]
        graph.write(target, keep)
        found = drop()
        _log.info("%d of %d linear layers in floating point: %.2f points", len(keep), len(ranked), 100 * found)
        if found <= max_drop:
            return keep
        count *= 2
    raise QualityGateError(
        f"INT8 costs {100 * found:.2f} points with {len(keep)} of {len(ranked)} linear layers in floating point; "
        f"{allowed(max_drop, examples)}",
        hint="serve the fp32 model, or allow more with `max_drop`",
    )


def most_sensitive_first(graph: PreparedGraph, reference: Model, examples: Examples) -> list[str]:
    """The linear layers, ordered by the error of INT8 when only this one stays in floating point, smallest first."""
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
            candidate = reference.run_by(OnnxPredictor(open_session(path), reference.task.kind.output))
            found = _all_answers(candidate, batches)
            error[name] = difference(name, expected, found, reference.task).mean_abs
            advance(1)
    return sorted(error, key=lambda name: error[name])


def _all_answers(model: Model, batches: Sequence[Batch]) -> Logits:
    return np.concatenate([row for batch in batches for row in answers(model, batch)])

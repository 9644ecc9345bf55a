"""Two ways from torch to a fused graph, behind one call that takes the one that fuses everything."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import onnx

from replank.models.source import Source
from replank.system.errors import ModelError
from replank.tasks.task import Task
from replank_export.fusion.fusion import count_fused, fuse_dynamo, fuse_torchscript, unfused
from replank_export.fusion.trace import Traced, trace_dynamo, trace_torchscript

ExporterName = Literal["auto", "torchscript", "dynamo"]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Exporter:
    """One of torch's exporters, with the fusions that know its graphs.

    :param oldest_opset: the oldest version of the operators that it writes.
    """

    trace: Callable[..., Traced]
    fuse: Callable[[Path, Path, Traced], None]
    oldest_opset: int


# In the order in which `auto` tries them: the first is faster by far, and its graphs hold the mask as it came.
EXPORTERS: dict[str, Exporter] = {
    "torchscript": Exporter(trace_torchscript, fuse_torchscript, oldest_opset=17),
    "dynamo": Exporter(trace_dynamo, fuse_dynamo, oldest_opset=18),
}


@dataclass(frozen=True)
class Graph:
    """What was written.

    :param exporter: which of :data:`EXPORTERS` it was.
    :param fused: how often each fused operator stands in it.
    :param unfused: what was not fused, in words; ``None`` if everything was.
    """

    exporter: str
    fused: dict[str, int]
    unfused: str | None


def write_graph(
    source: Source, target: Path, task: Task, exporter: ExporterName, *, opset: int, segments: bool, allow_unfused: bool
) -> Graph:
    """Trace and fuse a model.

    :param task: what the graph is to answer.
    :param exporter: ``auto``: the first whose graph is fused completely.
    :param segments: whether the graph takes ``token_type_ids``.
    :param allow_unfused: take the first exporter's graph if none is fused completely.
    :raises ModelError: no exporter can write the model, or none of their graphs can be fused.
    """
    names = [name for name, known in EXPORTERS.items() if exporter in (name, "auto") and opset >= known.oldest_opset]
    refusals: list[ModelError] = []
    for name in names:
        try:
            graph = _write(source, target, task, name, opset=opset, segments=segments)
        except ModelError as error:
            refusals.append(error)
            continue
        if graph.unfused is None:
            return graph
        refusals.append(ModelError(f"{name}: {graph.unfused}", hint=_ASK_FOR_UNFUSED))
    if not allow_unfused or all(error.hint != _ASK_FOR_UNFUSED for error in refusals):
        raise refusals[0] if len(refusals) == 1 else _together(source, refusals)
    name = next(name for name, error in zip(names, refusals, strict=True) if error.hint == _ASK_FOR_UNFUSED)
    graph = _write(source, target, task, name, opset=opset, segments=segments)
    _log.warning("%s; it runs %s", graph.unfused, _cost(target, source.layers))
    return graph


_ASK_FOR_UNFUSED = "`allow_unfused=True` writes the slower graph all the same, and says what it costs"


def _write(source: Source, target: Path, task: Task, name: str, *, opset: int, segments: bool) -> Graph:
    exporter = EXPORTERS[name]
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        raw = Path(scratch) / "raw.onnx"
        exporter.fuse(raw, target, exporter.trace(source, raw, task, segments=segments, opset=opset))
    fused = count_fused(target)
    return Graph(name, fused, unfused(fused, source))


def _together(source: Source, refusals: list[ModelError]) -> ModelError:
    reasons = "; ".join(str(error) for error in refusals)
    hints = [error.hint for error in refusals if error.hint]
    return ModelError(
        f"no exporter writes a completely fused graph of {source.name}: {reasons}", hint=hints[0] if hints else None
    )


def _cost(path: Path, layers: int) -> str:
    """What an unfused graph costs, as far as it can be counted without running it."""
    nodes = len(onnx.load(str(path), load_external_data=False).graph.node)
    return (
        f"{nodes} operators, {nodes / layers:.0f} a layer where 8 are enough, and writes every head's scores, "
        "length x length numbers, to memory between them: benchmark it before you ship it"
    )

"""torch's two exporters with their fusions, behind one call that picks the first whose graph is fused completely."""

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
from replank_export.fusion.fusion import fuse_dynamo, fuse_torchscript
from replank_export.fusion.fusion_counts import ATTENTION_OPERATORS, count_fused, unfused
from replank_export.fusion.trace import Traced, trace_dynamo, trace_torchscript

ExporterName = Literal["auto", "torchscript", "dynamo"]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Exporter:
    """An exporter of torch, with the fusions that fit its graphs.

    :param attention: the attention operators that its graphs can have.
    :param oldest_opset: oldest ONNX opset that it writes.
    :param takes_references: whether it writes graphs of models that attend to references.
    """

    trace: Callable[..., Traced]
    fuse: Callable[[Path, Path, Traced], None]
    attention: frozenset[str]
    oldest_opset: int
    takes_references: bool = False


# In the order in which `auto` tries them: the first is far faster, and its graphs keep the mask as it is.
EXPORTERS: dict[str, Exporter] = {
    "torchscript": Exporter(
        trace_torchscript, fuse_torchscript, frozenset({"Attention"}), oldest_opset=17, takes_references=True
    ),
    "dynamo": Exporter(trace_dynamo, fuse_dynamo, frozenset(ATTENTION_OPERATORS), oldest_opset=18),
}


@dataclass(frozen=True)
class Graph:
    """A written graph.

    :param exporter: name of its exporter in :data:`EXPORTERS`.
    :param fused: number of nodes of each fused operator.
    :param unfused: parts of the layers that were not fused, in words; ``None`` if everything was.
    """

    exporter: str
    fused: dict[str, int]
    unfused: str | None


def write_graph(
    source: Source,
    target: Path,
    task: Task,
    exporter: ExporterName,
    *,
    opset: int,
    token_type_ids: bool,
    allow_unfused: bool,
) -> Graph:
    """Trace and fuse a model.

    :param target: file to write the graph to.
    :param task: task that decides the head and the output.
    :param exporter: name of an exporter; ``auto`` takes the first whose graph is fused completely.
    :param token_type_ids: whether the graph has an input ``token_type_ids``.
    :param allow_unfused: fall back to the first exporter's graph if none is fused completely.
    :raises ModelError: no exporter can export the model, or no graph is fused completely.
    """
    fitting = [
        name
        for name, known in EXPORTERS.items()
        if opset >= known.oldest_opset and known.attention >= source.encoder.fused.attention.keys()
    ]
    names = fitting if exporter == "auto" else [exporter]
    if source.references:
        names = [name for name in names if EXPORTERS[name].takes_references]
    if not names:
        raise ModelError(
            f"no exporter that may be chosen writes a fused graph of {source.name} in opset {opset}",
            hint="`opset=18` and `exporter='auto'` work",
        )
    refusals: list[ModelError] = []
    for name in names:
        try:
            graph = _write(source, target, task, name, opset=opset, token_type_ids=token_type_ids)
        except ModelError as error:
            _log.debug("%s:", name, exc_info=error)
            refusals.append(error)
            continue
        if graph.unfused is None:
            return graph
        refusals.append(ModelError(f"{name}: {graph.unfused}", hint=_ASK_FOR_UNFUSED))
    if not allow_unfused or all(error.hint != _ASK_FOR_UNFUSED for error in refusals):
        raise refusals[0] if len(refusals) == 1 else _together(source, refusals)
    name = next(name for name, error in zip(names, refusals, strict=True) if error.hint == _ASK_FOR_UNFUSED)
    graph = _write(source, target, task, name, opset=opset, token_type_ids=token_type_ids)
    _log.warning("%s; it runs %s", graph.unfused, _cost(target, source.layers))
    return graph


_ASK_FOR_UNFUSED = "`allow_unfused=True` writes the slower graph all the same, and says what it costs"


def _write(source: Source, target: Path, task: Task, name: str, *, opset: int, token_type_ids: bool) -> Graph:
    exporter = EXPORTERS[name]
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        raw = Path(scratch) / "raw.onnx"
        exporter.fuse(raw, target, exporter.trace(source, raw, task, token_type_ids=token_type_ids, opset=opset))
    fused = count_fused(target)
    return Graph(name, fused, unfused(fused, source))


def _together(source: Source, refusals: list[ModelError]) -> ModelError:
    reasons = "; ".join(str(error) for error in refusals)
    hints = [error.hint for error in refusals if error.hint]
    return ModelError(
        f"no exporter writes a completely fused graph of {source.name}: {reasons}", hint=hints[0] if hints else None
    )


def _cost(path: Path, layers: int) -> str:
    """The cost of an unfused graph, as far as it can be told without running it."""
    nodes = len(onnx.load(str(path), load_external_data=False).graph.node)
    return (
        f"{nodes} operators, {nodes / layers:.0f} a layer where 8 are enough, and writes every head's attention "
        "scores (length x length) to memory between them: benchmark it before you ship it"
    )

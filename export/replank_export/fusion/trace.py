"""Tracing of a torch model to a raw ONNX graph: the only module of this package that imports torch."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from replank.models.source import Source
from replank.runtime.torch_model import load_to_run
from replank.system.errors import ModelError
from replank.system.quiet import quiet_logging
from replank.tasks.task import Task
from replank.text.padding import INPUT_NAMES, REFERENCE_NAMES
from replank_export.fusion.ort_attention import ORT_ATTENTION, ort_attention
from replank_export.fusion.references import attend_by_operator, reference_inputs

# No size is 1, which an exporter would take for a constant, and no two are equal, which it would tie together.
_TRACED_SHAPE = (2, 16)


@dataclass(frozen=True)
class Traced:
    """The facts about a graph that fusion must be told; if it has to guess them, it fuses nothing.

    :param heads: number of attention heads.
    :param hidden_size: width of the hidden states.
    :param tables: embedding tables.
    """

    heads: int
    hidden_size: int
    tables: int


def trace_torchscript(source: Source, path: Path, task: Task, *, token_type_ids: bool, opset: int) -> Traced:
    """Write a model's graph with torch's TorchScript exporter.

    The model runs eager attention, whose graph ONNX Runtime's optimizer can fuse.

    :param task: task that decides the head and the output.
    :param token_type_ids: whether the graph has an input ``token_type_ids``.
    :raises ModelError: the exporter fails.
    """

    def write(model: nn.Module, inputs: tuple[torch.Tensor, ...], names: list[str]) -> None:
        axes = {
            name: {0: "batch_size", 1: "reference_length" if name in REFERENCE_NAMES else "sequence_length"}
            for name in names
        }
        answers = {task.kind.output: axes[names[0]] if task.is_per_token else {0: "batch_size"}}
        torch.onnx.export(
            model,
            inputs,
            str(path),
            input_names=names,
            output_names=[task.kind.output],
            dynamic_axes=axes | answers,
            opset_version=opset,
            dynamo=False,
        )

    return _trace(source, task, "eager", token_type_ids, write)


def trace_dynamo(source: Source, path: Path, task: Task, *, token_type_ids: bool, opset: int) -> Traced:
    """Write a model's graph with torch's dynamo exporter, which builds on ``torch.export``.

    :param task: task that decides the head and the output.
    :param token_type_ids: whether the graph has an input ``token_type_ids``.
    :raises ModelError: the exporter fails.
    """
    longest = source.position_limit
    writes_operators = "MultiHeadAttention" in source.encoder.fused.attention
    # Tools look for these names; by default each input would get unrelated symbols.
    dimensions = {0: torch.export.Dim("batch_size"), 1: torch.export.Dim("sequence_length", max=longest)}

    def write(model: nn.Module, inputs: tuple[torch.Tensor, ...], names: list[str]) -> None:
        program = torch.onnx.export(
            model,
            inputs,
            input_names=names,
            output_names=[task.kind.output],
            dynamic_shapes=((dimensions,) * len(names),),  # one parameter, *inputs
            opset_version=opset,
            dynamo=True,
            verbose=False,
        )
        assert program is not None, "without a file, the exporter returns a program"  # noqa: S101
        program.save(str(path))

    return _trace(source, task, ORT_ATTENTION if writes_operators else None, token_type_ids, write)


def _trace(
    source: Source,
    task: Task,
    attention: str | None,
    token_type_ids: bool,
    write: Callable[[nn.Module, tuple[torch.Tensor, ...], list[str]], None],
) -> Traced:
    """Load a model and write its graph, traced with example inputs, those of references too if it has some.

    :param attention: transformers' name of the attention implementation, or :data:`ORT_ATTENTION`; ``None`` for its
        default.
    """
    arguments: dict[str, Any] = {"attn_implementation": attention} if attention not in (None, ORT_ATTENTION) else {}
    model = load_to_run(source, task, **arguments).eval()
    _hold_rotary_angles(model)
    names = list(INPUT_NAMES if token_type_ids else INPUT_NAMES[:2])
    # Ids that every vocabulary has, without padding ids: RoBERTa derives positions from them.
    ids = torch.arange(_TRACED_SHAPE[0] * _TRACED_SHAPE[1]).reshape(_TRACED_SHAPE) % (model.config.vocab_size - 10) + 10
    inputs = (ids, torch.ones_like(ids), torch.zeros_like(ids))[: len(names)]
    if source.references:
        references = reference_inputs(model, len(ids))
        names, inputs = [*names, *references], (*inputs, *references.values())
        attend_by_operator(model)
    try:
        operators = ort_attention(model) if attention == ORT_ATTENTION else nullcontext()
        with warnings.catch_warnings(), torch.inference_mode(), quiet_logging(), operators:
            # Deprecations, and the tracer's warnings about Python values; verification decides whether they matter.
            warnings.simplefilter("ignore")
            write(_Positional(model, names).eval(), inputs, names)
    except Exception as error:  # the exporter raises whatever the failing operator raises
        reason = str(error).strip().splitlines()
        raise ModelError(f"torch cannot export {source.name} to ONNX: {reason[0] if reason else error!r}") from error
    config = model.config.to_dict()  # with the defaults that config.json may leave out
    return Traced(
        heads=source.encoder.heads(config),
        hidden_size=source.encoder.hidden_size(config),
        tables=sum(isinstance(module, nn.Embedding) for module in model.modules()),
    )


def _hold_rotary_angles(model: nn.Module) -> None:
    """Take from rotary embeddings what changes their angles for texts longer than the model's positions: none is.

    It branches on the length of the text, which no graph of torch.export can.
    """
    modules: Iterable[Any] = model.modules()
    for module in modules:
        match getattr(module, "rope_type", None):
            case "dynamic":
                module.rope_type = "default"
            case {**kinds}:
                module.rope_type = {name: "default" if kind == "dynamic" else kind for name, kind in kinds.items()}


class _Positional(nn.Module):
    """A model with positional inputs and one output tensor, as the exporters need it."""

    def __init__(self, model: Any, names: list[str]) -> None:
        super().__init__()
        self._model, self._names = model, names

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self._model(**dict(zip(self._names, inputs, strict=True)), return_dict=False)[0]
        return output

"""torch to a raw ONNX graph, by either of torch's exporters: the only place of this package that imports torch."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from replank.models.encoders import position_limit
from replank.models.source import Source
from replank.runtime.torch_model import load_torch_model
from replank.system.errors import ModelError
from replank.system.quiet import quiet_logging
from replank.tasks.task import Task
from replank.text.padding import INPUT_NAMES

# No size is one, which an exporter would take for a constant, and no two are equal, which it would tie together.
_TRACED_SHAPE = (2, 16)


@dataclass(frozen=True)
class Traced:
    """What fusion must be told of the graph; left to guess, it fuses nothing.

    :param heads: attention heads.
    :param hidden_size: width of the hidden states.
    """

    heads: int
    hidden_size: int


def trace_torchscript(source: Source, path: Path, task: Task, *, segments: bool, opset: int) -> Traced:
    """Write the model's graph by recording what its TorchScript trace does.

    Eager attention is the one whose graph ONNX Runtime's own optimizer knows.

    :param task: what the graph is to answer.
    :param segments: whether the graph takes ``token_type_ids``.
    :raises ModelError: the exporter fails.
    """

    def write(model: nn.Module, inputs: tuple[torch.Tensor, ...], names: list[str]) -> None:
        axes = {name: {0: "batch_size", 1: "sequence_length"} for name in names}
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

    return _trace(source, task, "eager", segments, write)


def trace_dynamo(source: Source, path: Path, task: Task, *, segments: bool, opset: int) -> Traced:
    """Write the model's graph by ``torch.export``, torch's newer exporter.

    :param task: what the graph is to answer.
    :param segments: whether the graph takes ``token_type_ids``.
    :raises ModelError: the exporter fails.
    """
    longest = position_limit(source.config, source.name)
    # Named, because tools look for these names; the default would write unrelated symbols for each input.
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
        assert program is not None, "the exporter gives a program where it is given no file"  # noqa: S101
        program.save(str(path))

    return _trace(source, task, None, segments, write)


def _trace(
    source: Source,
    task: Task,
    attention: str | None,
    segments: bool,
    write: Callable[[nn.Module, tuple[torch.Tensor, ...], list[str]], None],
) -> Traced:
    """Load the model as its exporter wants it, and write it with inputs of an example's shape.

    :param attention: transformers' name of an implementation; ``None``: its default.
    """
    arguments: dict[str, Any] = {"attn_implementation": attention} if attention else {}
    model = load_torch_model(source, task.kind, **arguments).eval()
    names = list(INPUT_NAMES if segments else INPUT_NAMES[:2])
    # Ids that every vocabulary has and that are no padding, which RoBERTa counts positions by.
    ids = torch.arange(_TRACED_SHAPE[0] * _TRACED_SHAPE[1]).reshape(_TRACED_SHAPE) % (model.config.vocab_size - 10) + 10
    inputs = (ids, torch.ones_like(ids), torch.zeros_like(ids))[: len(names)]
    try:
        with warnings.catch_warnings(), torch.inference_mode(), quiet_logging():
            # Deprecation, and the tracer's notes on Python values; the comparison afterwards is what counts.
            warnings.simplefilter("ignore")
            write(_Positional(model, names).eval(), inputs, names)
    except Exception as error:  # the exporter raises whatever the failing operator does
        reason = str(error).strip().splitlines()
        raise ModelError(f"torch cannot export {source.name} to ONNX: {reason[0] if reason else error!r}") from error
    return Traced(heads=model.config.num_attention_heads, hidden_size=model.config.hidden_size)


class _Positional(nn.Module):
    """The model as the tracer wants it: positions in, one tensor out."""

    def __init__(self, model: Any, names: list[str]) -> None:
        super().__init__()
        self._model, self._names = model, names

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self._model(**dict(zip(self._names, inputs, strict=True)), return_dict=False)[0]
        return output

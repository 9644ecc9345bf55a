"""The head that answers the task, in floating point as it was, and the pooler, where there is one.

I-BERT leaves both as they are: they run once a text, and take the last hidden state from its 8 bits.
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import helper
from torch import nn

from replank.integer.integers import Reals
from replank.models.source import Source
from replank.runtime.torch_model import load_torch_model
from replank.system.quiet import quiet_logging
from replank.tasks.task import Task
from replank_export.integer.nodes import Nodes

HEAD = "head"
"""How the names of its nodes begin."""
_TRACED_SHAPE = (2, 16)


def add_head(nodes: Nodes, hidden: str, scale: Reals, source: Source, task: Task, opset: int) -> None:
    """Add the head to a graph, whose output it gives under the name that the kind of task has.

    :param hidden: the last hidden state, in 8 bits.
    :param scale: the real size of its steps, one or one a channel.
    :raises ModelError: the model has no such head.
    """
    centred = nodes.add("Sub", nodes.cast(hidden, "int32"), nodes.constant(nodes.zero_point, "int32"))
    real = nodes.cast(centred, "float32", f"{HEAD}.cast")
    scales = nodes.constant(scale, "float32")
    if not task.kind.has_head:
        nodes.add("Mul", real, scales, name=task.kind.output)
        return
    states = nodes.add("Mul", real, scales, name=f"{HEAD}.hidden")
    graph = _trace(source, task, opset)
    names = {graph.input[0].name: states, graph.output[0].name: task.kind.output}

    def renamed(name: str) -> str:
        return names.get(name, f"{HEAD}.{name}") if name else ""

    for tensor in graph.initializer:
        tensor.name = renamed(tensor.name)
        nodes.constants.append(tensor)
    for node in graph.node:
        made = helper.make_node(node.op_type, [*map(renamed, node.input)], [*map(renamed, node.output)])
        made.attribute.extend(node.attribute)
        made.name = f"{HEAD}.{node.name or node.output[0]}"
        nodes.nodes.append(made)


def _trace(source: Source, task: Task, opset: int) -> onnx.GraphProto:
    """The graph from the last hidden state on: that of a model without layers, whose embeddings are given to it."""
    model = load_torch_model(source, task.kind).eval()
    base, encoder = model.base_model, source.encoder
    width = encoder.hidden_size(model.config.to_dict())
    base.embeddings = _GivenEmbeddings()
    if hasattr(base, "embeddings_project"):
        base.embeddings_project = nn.Identity()
    parent, _, name = encoder.stack.rpartition(".")
    setattr(base.get_submodule(parent), name, nn.ModuleList())
    with tempfile.TemporaryDirectory(prefix="replank-") as scratch, warnings.catch_warnings(), quiet_logging():
        warnings.simplefilter("ignore")
        path = Path(scratch) / "head.onnx"
        torch.onnx.export(
            _Head(model),
            (torch.zeros(*_TRACED_SHAPE, width),),
            str(path),
            input_names=["hidden"],
            output_names=["answers"],
            dynamic_axes={"hidden": {0: "batch_size", 1: "sequence_length"}},
            opset_version=opset,
            dynamo=False,
        )
        return onnx.load(str(path)).graph


class _GivenEmbeddings(nn.Module):
    """Embeddings that are the input: of what a model hands to them, by name or not, the only real numbers."""

    def forward(self, *given: Any, **named: Any) -> torch.Tensor:
        found: list[torch.Tensor] = [
            value for value in (*given, *named.values()) if torch.is_tensor(value) and value.is_floating_point()
        ]
        (states,) = found
        return states


class _Head(nn.Module):
    """A model from its embeddings on, with one output."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self._model = model

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self._model(inputs_embeds=hidden, return_dict=False)[0]
        return output

"""The whole model: the encoder's graph in integers with its head, checked and audited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from replank.integer.build import build
from replank.integer.encoder import IntegerEncoder
from replank.integer.ranges import Ranges
from replank.integer.trace import Trace
from replank.models.int8_facts import IntegerFacts, IntegerTensor
from replank.models.source import Source
from replank.tasks.task import Task
from replank.text.padding import INPUT_NAMES, Batch
from replank_export.integer.audit import audit
from replank_export.integer.check import require_equal
from replank_export.integer.graph import add_encoder
from replank_export.integer.head import add_head
from replank_export.integer.nodes import IntegerTarget, Nodes

OPSET = 18
_IR_VERSION = 10


@dataclass(frozen=True)
class IntegerModel:
    """A graph, and what is known of it."""

    graph: onnx.ModelProto
    facts: IntegerFacts


def integer_model(
    source: Source,
    task: Task,
    model: Any,
    ranges: Ranges,
    target: IntegerTarget,
    *,
    token_type_ids: bool,
    traced: Sequence[Batch],
    checked: Sequence[Batch],
) -> IntegerModel:
    """The graph of a torch model.

    :param model: of transformers.
    :param token_type_ids: whether the graph has that input.
    :param traced: texts on which the largest value of each tensor is found.
    :param checked: batches on which the graph must give the definition's integers.
    :raises ModelError: the model does not fit the integer kernels.
    :raises QualityGateError: the graph gives other integers than the definition.
    """
    weights = {name: value.numpy() for name, value in model.base_model.state_dict().items()}
    encoder = build(model.config.to_dict(), weights, ranges, source.name)
    nodes = Nodes(target)
    states = add_encoder(nodes, encoder, token_type_ids=token_type_ids)
    names = INPUT_NAMES if token_type_ids else INPUT_NAMES[:2]
    kind = TensorProto.UINT8 if target == "cpu" else TensorProto.INT8
    watched = _model(nodes, names, [helper.make_tensor_value_info(state, kind, None) for state in states])
    compared = require_equal(watched, states, encoder, nodes.zero_point, checked)
    add_head(nodes, states[-1], encoder.scale, source, task, OPSET)
    answer = ["batch_size", "sequence_length", None] if task.is_per_token else ["batch_size", None]
    graph = _model(nodes, names, [helper.make_tensor_value_info(task.kind.output, TensorProto.FLOAT, answer)])
    found = audit(graph, task.kind.output)
    return IntegerModel(
        graph,
        IntegerFacts(
            target=target,
            compared=compared,
            types=found.types,
            float_tensors=found.float_tensors,
            tensors=_trace(encoder, traced),
        ),
    )


def _model(nodes: Nodes, names: Sequence[str], outputs: Sequence[onnx.ValueInfoProto]) -> onnx.ModelProto:
    shape = ["batch_size", "sequence_length"]
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name in names]
    graph = helper.make_graph(nodes.nodes, "integer_encoder", inputs, list(outputs), nodes.constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION)


def _trace(encoder: IntegerEncoder, batches: Sequence[Batch]) -> tuple[IntegerTensor, ...]:
    trace = Trace()
    for batch in batches:
        token_type_ids = np.zeros_like(batch.input_ids) if batch.token_type_ids is None else batch.token_type_ids
        encoder(batch.input_ids, batch.attention_mask, token_type_ids, trace)
    return tuple(IntegerTensor(name, bits, largest) for name, (largest, bits) in trace.found.items())

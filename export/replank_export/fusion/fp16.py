"""Conversion to fp16 for CUDA: half the size, with nodes that would overflow kept in fp32."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from onnxruntime.transformers.onnx_model import OnnxModel

from replank.system.quiet import quiet_logging
from replank.text.padding import Batch
from replank_export.graph_files import save_graph

# The largest fp16 number is 65504; values within a factor of two of it on a few texts may exceed it on others.
_LARGEST_SAFE = 65504 / 2
# fp32 graphs add -3.4e38 to the scores of masked tokens, which is infinite in fp16; exp(-1e4) is 0 as well.
_MASKED = -1e4
_NO_WEIGHT = -1e30


def to_fp16(path: Path, batches: Sequence[Batch]) -> tuple[str, ...]:
    """Convert an fp32 graph to fp16, in place; inputs and outputs keep their types.

    :param batches: batches to look for overflows on, with some of the maximal length.
    :returns: names of the nodes that stay in fp32 because their values are too large.
    """
    model = onnx.load(str(path))
    _make_masks_finite(model)
    for index, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{index}"  # nodes that stay in fp32 are selected by name
    overflowing = _nodes_that_overflow(model, batches)
    converted = OnnxModel(model)
    with quiet_logging():
        # Shape inference knows the fused operators' types; without them no casts are put around nodes kept in fp32.
        converted.convert_float_to_float16(
            use_symbolic_shape_infer=True, keep_io_types=True, node_block_list=overflowing
        )
    path.with_name(f"{path.name}_data").unlink(missing_ok=True)
    _merge_repeated_casts(converted.model)
    save_graph(converted.model, path)
    return tuple(overflowing)


def _merge_repeated_casts(model: onnx.ModelProto) -> None:
    """Remove duplicate casts: the conversion adds one, of the same name, for each fp32 node that takes a value."""
    once = {node.output[0]: node for node in reversed(model.graph.node) if node.op_type == "Cast"}
    kept = [node for node in model.graph.node if node.op_type != "Cast" or once[node.output[0]] is node]
    del model.graph.node[:]
    model.graph.node.extend(kept)


def _make_masks_finite(model: onnx.ModelProto) -> None:
    """Replace the large negative constants of masks, which are infinite in fp16."""
    tensors = [*model.graph.initializer]
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "mask_filter_value":
                attribute.f = max(attribute.f, _MASKED)
            if node.op_type in ("Constant", "ConstantOfShape") and attribute.HasField("t"):
                tensors.append(attribute.t)
    for tensor in tensors:
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        if (masks := values < _NO_WEIGHT).any():
            tensor.CopyFrom(numpy_helper.from_array(np.where(masks, np.float32(_MASKED), values), tensor.name))


def _nodes_that_overflow(model: onnx.ModelProto, batches: Sequence[Batch]) -> list[str]:
    """The nodes with an input or output too large for fp16, found by running the graph in fp32."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    outputs = {name for node in watched.graph.node for name in node.output if name}
    known = {output.name for output in watched.graph.output}
    watched.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in sorted(outputs - known))
    options = onnxruntime.SessionOptions()
    # Without optimizations, so that the nodes are those of the file.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory(prefix="replank-") as scratch:
        path = Path(scratch) / "watched.onnx"
        save_graph(watched, path)
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs() if output.type == "tensor(float)"]
    too_large: set[str] = set()
    for batch in batches:
        feeds = {node.name: batch.inputs().get(node.name, np.zeros_like(batch.input_ids)) for node in model.graph.input}
        for name, values in zip(names, session.run(names, feeds), strict=True):
            if values.size and not np.abs(values).max() <= _LARGEST_SAFE:
                too_large.add(name)
    return [node.name for node in model.graph.node if too_large & {*node.input, *node.output}]

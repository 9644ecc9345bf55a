"""Linear layers with one scale per token: every row alone, whatever its size."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from replank.runtime.session import open_session
from replank_export.int8 import DynamicInt8

GENERATOR = np.random.default_rng(0)
WEIGHTS = GENERATOR.standard_normal((64, 8)).astype(np.float32)
ROWS = GENERATOR.standard_normal((2, 3, 64)).astype(np.float32)

Array = NDArray[np.float32]


def quantized(
    nodes: list[onnx.NodeProto], tensors: dict[str, Array], path: Path, config: DynamicInt8, dims: list[Any]
) -> Path:
    """A graph from ``x`` to ``y``, in INT8."""
    values = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in (("x", dims), ("y", [*dims[:-1], "columns"]))
    ]
    weights = [numpy_helper.from_array(value, name) for name, value in tensors.items()]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], weights)
    source = path / "fp32.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), str(source))
    with config.prepare(source) as ready:
        ready.write(path / "int8.onnx")
    return path / "int8.onnx"


def run(path: Path, rows: Array) -> Array:
    (found,) = open_session(path).run(None, {"x": rows})
    return np.asarray(found, dtype=np.float32)


def relative_error(found: Array, expected: NDArray[Any]) -> Array:
    return np.asarray(np.abs(found - expected).max(axis=-1) / np.abs(expected).max(axis=-1))


def product(path: Path, config: DynamicInt8 | None = None, weights: Array = WEIGHTS) -> Path:
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="p")
    return quantized([node], {"w": weights}, path, config or DynamicInt8(), ["batch", "length", 64])


def test_rows_of_all_sizes_keep_their_precision(tmp_path: Path) -> None:
    path = product(tmp_path)
    rows = ROWS * np.array([1e-20, 1e-3, 1, 10, 1e4, 1e12], dtype=np.float32).reshape(2, 3, 1)
    assert relative_error(run(path, rows), rows @ WEIGHTS).max() < 0.03
    # Exactly, not nearly: the scale is a row's own.
    np.testing.assert_array_equal(run(path, rows)[1:, 1:2], run(path, rows[1:, 1:2]))
    np.testing.assert_allclose(run(path, 4 * ROWS), 4 * run(path, ROWS), rtol=1e-6)


def test_a_row_of_zeros_gives_zeros(tmp_path: Path) -> None:
    rows = ROWS.copy()
    rows[0, 1] = 0
    found = run(product(tmp_path), rows)
    np.testing.assert_array_equal(found[0, 1], np.zeros(8))
    np.testing.assert_array_equal(found[1], run(tmp_path / "int8.onnx", rows[1:])[0])


def test_a_value_that_is_no_number_is_not_hidden(tmp_path: Path) -> None:
    rows = ROWS.copy()
    rows[0, 1, 5] = np.inf
    found = run(product(tmp_path), rows)
    assert not np.isfinite(found[0, 1]).any()
    assert np.isfinite(found[0, [0, 2]]).all()
    assert np.isfinite(found[1]).all()


def test_columns_of_unequal_size_have_scales_of_their_own(tmp_path: Path) -> None:
    weights = WEIGHTS * np.array([1e-3, 1, 1, 1, 1, 1, 1, 0], dtype=np.float32)
    errors = {}
    for per_channel in (True, False):
        found = run(product(tmp_path, DynamicInt8(per_channel=per_channel), weights), ROWS)
        np.testing.assert_array_equal(found[..., 7], np.zeros((2, 3)))
        errors[per_channel] = np.abs(found - ROWS @ weights)[..., 0].max() / np.abs(ROWS @ weights)[..., 0].max()
    assert errors[True] < 0.03
    assert errors[False] == 1.0


def test_a_gemm_with_transposed_weights_and_a_bias(tmp_path: Path) -> None:
    bias = np.arange(8, dtype=np.float32)
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"], name="p", transB=1)
    tensors = {"w": np.ascontiguousarray(WEIGHTS.T), "b": bias}
    found = run(quantized([node], tensors, tmp_path, DynamicInt8(), ["rows", 64]), ROWS[0])
    assert relative_error(found, ROWS[0] @ WEIGHTS + bias).max() < 0.03
    assert "Gemm" not in {node.op_type for node in onnx.load(str(tmp_path / "int8.onnx")).graph.node}


@pytest.mark.parametrize("settings", [{"alpha": 0.5}, {"beta": 0.5}, {"transA": 1}])
def test_a_gemm_that_does_more_stays_in_floating_point(settings: dict[str, Any], tmp_path: Path) -> None:
    rows = ROWS[0]
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"], name="p", **settings)
    tensors = {"w": WEIGHTS, "b": np.ones(8, dtype=np.float32)}
    is_transposed = bool(settings.get("transA"))
    path = quantized([node], tensors, tmp_path, DynamicInt8(), [64, "rows"] if is_transposed else ["rows", 64])
    found = run(path, np.ascontiguousarray(rows.T) if is_transposed else rows)
    expected = settings.get("alpha", 1) * (rows @ WEIGHTS) + settings.get("beta", 1)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_layers_may_share_their_input_and_their_weights(tmp_path: Path) -> None:
    square = GENERATOR.standard_normal((64, 64)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], name="p"),
        helper.make_node("MatMul", ["x", "w"], ["b"], name="q"),
        helper.make_node("MatMul", ["a", "w"], ["c"], name="r"),
        helper.make_node("Sub", ["b", "c"], ["y"], name="d"),
    ]
    path = quantized(nodes, {"w": square}, tmp_path, DynamicInt8(), ["batch", "length", 64])
    graph = onnx.load(str(path)).graph
    operators = Counter(node.op_type for node in graph.node)
    assert (operators["QuantizeLinear"], operators["MatMulIntegerToFloat"]) == (2, 3)
    assert [tensor.dims for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.INT8] == [[64, 64]]
    assert "w" not in {tensor.name for tensor in graph.initializer}
    expected = ROWS @ square - (ROWS @ square) @ square
    assert relative_error(run(path, ROWS), expected).max() < 0.05


@pytest.mark.parametrize(("operator", "domain"), [("Relu", ""), ("FastGelu", "com.microsoft")])
def test_after_an_activation_the_integers_are_for_positive_values(operator: str, domain: str, tmp_path: Path) -> None:
    nodes = [
        helper.make_node(operator, ["x"], ["h"], name="a", domain=domain),
        helper.make_node("MatMul", ["h", "w"], ["y"], name="p"),
    ]
    path = quantized(nodes, {"w": WEIGHTS}, tmp_path, DynamicInt8(), ["batch", "length", 64])
    # Also where all are negative, down to the minimum of GELU, and where nothing is left.
    rows = np.concatenate([ROWS, -np.abs(ROWS[:1]), np.full((1, 3, 64), -0.75, dtype=np.float32)])
    hidden = np.maximum(rows, 0)
    if operator == "FastGelu":
        inner = np.sqrt(2 / np.pi) * (rows + 0.044715 * rows**3)
        hidden = (0.5 * rows * (1 + np.tanh(inner))).astype(np.float32)
    expected, found = hidden @ WEIGHTS, run(path, rows)
    # Half a step of the largest value of each row, or of the floor, times the largest weights.
    step = np.maximum(hidden.max(axis=-1) / 218, 0.17 / 37)
    bound = step * np.abs(WEIGHTS).sum(axis=0).max() + np.abs(hidden).sum(axis=-1) * np.abs(WEIGHTS).max() / 127
    assert (np.abs(found - expected).max(axis=-1) <= bound / 2 + 1e-5).all()

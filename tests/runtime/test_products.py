"""Products of 8-bit numbers in a session: exact on every CPU, with and without VNNI."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from replank.runtime.session import open_session

_SHAPES = ((1, 384, 64), (16, 64, 33), (7, 33, 128))


def product_graph(weights: NDArray[np.int8]) -> bytes:
    """The graph of a product of uint8 activations, with a zero point of 128, and constant weights."""
    rows = helper.make_tensor_value_info("values", TensorProto.UINT8, [None, weights.shape[0]])
    sums = helper.make_tensor_value_info("sums", TensorProto.INT32, [None, weights.shape[1]])
    constants = [
        numpy_helper.from_array(weights, "weights"),
        numpy_helper.from_array(np.array(128, dtype=np.uint8), "zero"),
    ]
    node = helper.make_node("MatMulInteger", ["values", "weights", "zero"], ["sums"])
    graph = helper.make_graph([node], "product", [rows], [sums], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("shape", _SHAPES)
@pytest.mark.parametrize("largest", [True, False], ids=["largest", "random"])
def test_weights_of_all_eight_bits_do_not_overflow(shape: tuple[int, int, int], largest: bool) -> None:
    rows, depth, columns = shape
    generator = np.random.default_rng(0)
    values = generator.integers(0, 256, (rows, depth)).astype(np.uint8)
    weights = generator.integers(-128, 128, (depth, columns)).astype(np.int8)
    if largest:  # two such products are more than 16 bits hold
        values[:], weights[:] = 255, 127
    (sums,) = open_session(product_graph(weights)).run(None, {"values": values})
    truth = (values.astype(np.int64) - 128) @ weights.astype(np.int64)
    assert np.array_equal(sums, truth)

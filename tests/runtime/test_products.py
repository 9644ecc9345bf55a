"""Products of 8-bit numbers in a session: exact on every CPU, with and without VNNI."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from replank.runtime import session
from replank.runtime.session import open_session

_SHAPES = ((1, 384, 64), (16, 64, 33), (7, 33, 128))


def product_graph(weights: NDArray[np.int8], products: int = 1) -> bytes:
    """The graph of products of uint8 activations, with a zero point of 128, and the same constant weights."""
    names = range(products)
    values = [helper.make_tensor_value_info(f"values{n}", TensorProto.UINT8, [None, weights.shape[0]]) for n in names]
    sums = [helper.make_tensor_value_info(f"sums{n}", TensorProto.INT32, [None, weights.shape[1]]) for n in names]
    constants = [
        numpy_helper.from_array(weights, "weights"),
        numpy_helper.from_array(np.array(128, dtype=np.uint8), "zero"),
        numpy_helper.from_array(np.array(0, dtype=np.int8), "no"),
    ]
    nodes = [helper.make_node("MatMulInteger", [f"values{n}", "weights", "zero", "no"], [f"sums{n}"]) for n in names]
    graph = helper.make_graph(nodes, "products", values, sums, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def random_operands(rows: int, depth: int, columns: int) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
    generator = np.random.default_rng(0)
    values = generator.integers(0, 256, (rows, depth)).astype(np.uint8)
    return values, generator.integers(-128, 128, (depth, columns)).astype(np.int8)


@pytest.fixture(params=[True, False], ids=["as it is", "as without VNNI"])
def processor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's, and one that is taken for a CPU whose sums of 16 bits overflow."""
    if not request.param:
        monkeypatch.setattr(session, "int8_target", lambda: "avx2")


def truth(values: NDArray[np.uint8], weights: NDArray[np.int8]) -> NDArray[np.int64]:
    return (values.astype(np.int64) - 128) @ weights.astype(np.int64)


@pytest.mark.usefixtures("processor")
@pytest.mark.parametrize("shape", _SHAPES)
@pytest.mark.parametrize("largest", [True, False], ids=["largest", "random"])
def test_weights_of_all_eight_bits_do_not_overflow(shape: tuple[int, int, int], largest: bool) -> None:
    values, weights = random_operands(*shape)
    if largest:  # two such products are more than 16 bits hold
        values[:], weights[:] = 255, 127
    (sums,) = open_session(product_graph(weights)).run(None, {"values0": values})
    assert np.array_equal(sums, truth(values, weights))


@pytest.mark.usefixtures("processor")
@pytest.mark.parametrize("is_file", [True, False])
def test_weights_that_several_products_share_do_not_either(tmp_path: Path, is_file: bool) -> None:
    values, weights = random_operands(16, 64, 32)
    graph = product_graph(weights, products=3)
    (tmp_path / "model.onnx").write_bytes(graph)
    opened = open_session(tmp_path / "model.onnx" if is_file else graph)
    found = opened.run(None, {f"values{number}": values for number in range(3)})
    assert all(np.array_equal(sums, truth(values, weights)) for sums in found)


@pytest.mark.parametrize(("target", "is_set"), [("avx2", True), ("vnni", False), ("arm64", False)])
def test_only_cpus_that_need_unsigned_weights_pay_for_them(
    monkeypatch: pytest.MonkeyPatch, target: str, is_set: bool
) -> None:
    """With VNNI they take almost twice the time."""
    monkeypatch.setattr(session, "int8_target", lambda: target)
    options = open_session(product_graph(random_operands(1, 8, 8)[1])).get_session_options()
    if is_set:
        assert options.get_session_config_entry("session.x64quantprecision") == "1"
    else:
        with pytest.raises(RuntimeError, match="x64quantprecision"):
            options.get_session_config_entry("session.x64quantprecision")

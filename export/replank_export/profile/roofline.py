"""The least time that this machine could take for a model's work, and how far from it the model is.

Work has two roofs: multiply-accumulates at the rate of the fastest matrix product of the model's own shapes, and
weights at the rate at which memory gives them. The higher of the two times is the estimate (Williams et al. 2009,
https://doi.org/10.1145/1498765.1498785). What is done element by element, such as norms and softmax, is not in it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray
from onnx import ValueInfoProto, helper, numpy_helper

from replank.runtime.model import Model
from replank.runtime.session import open_session
from replank.runtime.timing import random_batch, time_calls
from replank.system.environment import available_cores
from replank_export.profile.flops import Work

# Of each precision the operator, and the types of its two sides and of its result.
_PRODUCTS: dict[str, tuple[str, type, type, type]] = {
    "fp32": ("MatMul", np.float32, np.float32, np.float32),
    "int8": ("MatMulInteger", np.uint8, np.int8, np.int32),
}
_COPIED_BYTES = 2**28
# A shape of less than this share of the work decides no rate.
_LEAST_SHARE = 0.02
_PRODUCTS_OF_ONE_RUN = 4
_SECONDS_OF_A_SHAPE = 0.3
_SECONDS_OF_A_MODEL = 2.0
_WARM_UP = 2
_LEAST_RUNS = 5
_OPSET, _IR_VERSION = 17, 8


@dataclass(frozen=True)
class Machine:
    """What was measured of a machine.

    :param threads: that it was measured with.
    :param flops_per_second: of matrix products, by the precision that the machine computes in: ``fp32``, ``int8``.
    :param bytes_per_second: that memory gives and takes.
    :param cache_bytes: of the largest cache; 0 if not known.
    """

    threads: int
    flops_per_second: dict[str, float]
    bytes_per_second: float
    cache_bytes: int


@dataclass(frozen=True)
class Roofline:
    """The least time of a model's work.

    :param compute_ms: of the multiply-accumulates.
    :param memory_ms: of reading the weights, as far as no cache can hold them.
    """

    compute_ms: float
    memory_ms: float

    @property
    def ms(self) -> float:
        """Whichever takes longer."""
        return max(self.compute_ms, self.memory_ms)


def roofline(work: Work, machine: Machine) -> Roofline:
    """The least time of a model's work on a machine; precisions that its CPU has no products in run as fp32."""
    rates = machine.flops_per_second
    seconds = sum(2 * product.macs / rates.get(product.precision, rates["fp32"]) for product in work.products)
    streamed = max(0, work.matrix_bytes - machine.cache_bytes)
    return Roofline(compute_ms=1e3 * seconds, memory_ms=1e3 * streamed / machine.bytes_per_second)


def measure_machine(work: Work) -> Machine:
    """Measure products of a model's shapes in each precision, and memory; takes seconds."""
    threads = available_cores()
    shapes = {
        (product.rows, product.inner, product.columns)
        for product in work.products
        if product.has_weight and product.macs >= _LEAST_SHARE * work.macs
    }
    return Machine(
        threads=threads,
        flops_per_second={
            precision: max(_measure_product(*shape, precision) for shape in shapes) for precision in _PRODUCTS
        },
        bytes_per_second=_measure_memory(threads),
        cache_bytes=_cache_bytes(),
    )


def measure_latency(model: Model, batch_size: int, length: int) -> tuple[float, float]:
    """How long a model takes for random tokens without padding.

    :returns: milliseconds: the median, and the fastest, which is far from it where the machine has other work.
    """
    batch = random_batch(model, batch_size, length, seed=0)
    samples = _samples(lambda: model.predictor(batch), _SECONDS_OF_A_MODEL)
    return median(samples), min(samples)


def _measure_product(rows: int, inner: int, columns: int, precision: str) -> float:
    """FLOPs a second of ONNX Runtime's product of a matrix with a weight, at its best."""
    operator, left_type, right_type, result_type = _PRODUCTS[precision]
    generator = np.random.default_rng(0)
    left: NDArray[np.generic] = generator.integers(0, 100, size=(rows, inner)).astype(left_type)
    right: NDArray[np.generic] = generator.integers(0, 100, size=(inner, columns)).astype(right_type)
    names = [str(index) for index in range(_PRODUCTS_OF_ONE_RUN)]
    graph = helper.make_graph(
        # Several in a run, so that it is not the call that is measured; of equal inputs only one would be computed.
        [helper.make_node(operator, [f"left{name}", "right"], [name]) for name in names],
        "products",
        [_tensor(f"left{name}", left_type, left.shape) for name in names],
        [_tensor(name, result_type, (rows, columns)) for name in names],
        [numpy_helper.from_array(right, "right")],
    )
    model = helper.make_model(graph, ir_version=_IR_VERSION, opset_imports=[helper.make_opsetid("", _OPSET)])
    session = open_session(model.SerializeToString())
    feeds = {f"left{name}": left for name in names}
    milliseconds = min(_samples(lambda: session.run(names[:1], feeds), _SECONDS_OF_A_SHAPE))
    return 2e3 * _PRODUCTS_OF_ONE_RUN * rows * inner * columns / milliseconds


def _tensor(name: str, numpy_type: type, shape: tuple[int, ...]) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(numpy_type)), shape)


def _measure_memory(threads: int) -> float:
    """Bytes a second that a copy of more than any cache holds reads and writes."""
    source = np.ones(_COPIED_BYTES, dtype=np.uint8)
    target = np.zeros_like(source)
    parts = list(zip(np.array_split(target, threads), np.array_split(source, threads), strict=True))
    with ThreadPoolExecutor(threads) as pool:

        def copy() -> None:
            list(pool.map(lambda pair: np.copyto(*pair), parts))

        milliseconds = min(_samples(copy, _SECONDS_OF_A_SHAPE))
    return 2e3 * _COPIED_BYTES / milliseconds


def _samples(run: Callable[[], object], seconds: float) -> list[float]:
    """Milliseconds of each of the calls that fill a time."""
    return time_calls(run, warmup=_WARM_UP, min_iterations=_LEAST_RUNS, min_seconds=seconds)


def _cache_bytes() -> int:
    """Size of the largest cache that the first core has a share in, where Linux tells it."""
    caches = Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")
    sizes = [path.read_text(encoding="ascii").strip() for path in caches]
    return max((int(size.removesuffix("K")) * 1024 for size in sizes), default=0)
